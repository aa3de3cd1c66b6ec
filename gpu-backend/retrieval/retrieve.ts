/**
 * One request's way: encode (if the plan wants it), ask the index, then, on one view and without letting go of the thread,
 * search, fuse, calibrate, cut. A swap therefore falls before or after a request's search, never into it; one that falls into
 * the wait for an index elsewhere has the newer generation asked, because later changes are told to that one only.
 */
import type { Candidate, RetrieveRequest, RetrieveResponse } from '../../shared/contract/retrieve.ts';
import { terms } from '../../shared/coverage.ts';
import { HarnessError } from '../../shared/problem.ts';
import { type QueryVector, unpackUnitVector } from '../../shared/query-vector.ts';
import { type RelevanceMap, relevanceOf } from '../../shared/relevance.ts';
import { NORMALIZER_VERSION } from '../../shared/text.ts';
import type { Encoder } from '../encoder/encoder.ts';
import type { Live } from '../generations/live.ts';
import type { View } from '../generations/view.ts';
import type { Hit } from '../index/ann-index.ts';
import { admission } from './admission.ts';
import { dense } from './dense.ts';
import { fuse } from './fuse.ts';

export interface RetrievalOptions {
  encoder: Encoder;
  live: Live;
  /** The bundle's relevance map. */
  calibration: RelevanceMap;
}

export interface Retrieval {
  /**
   * Candidates of a normalized query under a plan, the most relevant first, then by fused rank, then by ad id; none for a query of stop words only. Throws
   * `not_ready` before the first generation, `bad_request` for another normaliser, `model_mismatch` for a vector of another
   * student, and what the encoder throws.
   */
  retrieve(request: RetrieveRequest, options?: { signal?: AbortSignal }): Promise<RetrieveResponse>;
}

/** Candidates that each retriever hands to fusion: fusion needs more than it returns, or agreement deep down is missed. */
const depth = (k: number) => Math.max(100, 2 * k);

/** The vector that a request brings, if it is one that this encoder could have made. */
function readVector({ studentSha256, values }: QueryVector, encoder: Encoder): Float32Array {
  if (studentSha256 !== encoder.studentSha256) {
    throw new HarnessError(
      'model_mismatch',
      `vector: expected one of student ${encoder.studentSha256} (${encoder.model}), got one of ${studentSha256}; send the query alone, and give the edge the backend's bundle.`,
    );
  }
  return unpackUnitVector(values, encoder.dimension);
}

function requireView(live: Live): View {
  if (live.view === undefined)
    throw new HarnessError('not_ready', 'No generation is live yet; retry in a few seconds.');
  return live.view;
}

export function createRetrieval({ encoder, live, calibration }: RetrievalOptions): Retrieval {
  const search = (
    request: RetrieveRequest,
    view: View,
    { vector, proposed }: { vector: Float32Array | undefined; proposed: readonly Hit[] },
  ): Candidate[] => {
    const { query, plan } = request;
    const limit = depth(plan.k);
    const scope = admission(request, view);
    const near = vector === undefined ? [] : dense(view, vector, { proposed, limit, ...scope });
    // A plan without the lexical retriever has no lexical evidence either: its arm measures the student alone.
    const lexical = plan.retrievers.includes('lexical')
      ? view.lexical(query, { limit, also: new Set(near.map(({ slot }) => slot)), ...scope })
      : undefined;
    // Whoever found an ad, the best of its keywords that match says what it bids.
    const others = new Set([...near, ...(lexical?.hits ?? [])].map(({ slot }) => slot));
    const byKeyword = plan.retrievers.includes('keyword');
    const { hits, booked } = view.keyword(query, { limit: byKeyword ? limit : 0, also: others, ...scope });
    const found = { lexical: lexical?.hits ?? [], dense: near, keyword: hits };
    const coverageOf = (slot: number): number =>
      Math.max(lexical?.coverage.get(slot) ?? 0, byKeyword ? (booked.get(slot)?.coverage ?? 0) : 0);
    const bestCoverage = Math.max(0, ...(lexical?.coverage.values() ?? []), ...hits.map(({ coverage }) => coverage));
    const relevance = (slot: number): number => {
      const coverage = coverageOf(slot);
      const cosine = vector === undefined ? undefined : view.cosine(slot, vector);
      return cosine === undefined ? coverage : relevanceOf({ cosine, coverage, bestCoverage }, calibration);
    };
    return (
      fuse(
        plan.retrievers.map((retriever) => ({ retriever, found: found[retriever] })),
        (slot) => view.ad(slot).id,
      )
        .map(({ slot, sources }) => {
          const { id, advertiserId, campaignId, title, description, displayUrl, landingUrl, ...ad } = view.ad(slot);
          const shown = { advertiserId, campaignId, title, description, displayUrl, landingUrl };
          const { bidMicros = ad.bidMicros, match } = booked.get(slot) ?? {};
          const matched = match === undefined ? {} : { match };
          return { adId: id, ...shown, bidMicros, ...matched, relevance: relevance(slot), sources };
        })
        .filter((candidate) => candidate.relevance >= plan.minRelevance)
        // Stable: equal relevance stays in the order of fusion.
        .sort((a, b) => b.relevance - a.relevance)
        .slice(0, plan.k)
    );
  };

  return {
    async retrieve(request, { signal } = {}) {
      const began = performance.now();
      if (request.normalizerVersion !== NORMALIZER_VERSION) {
        throw new HarnessError(
          'bad_request',
          `normalizerVersion: expected ${NORMALIZER_VERSION}, got ${request.normalizerVersion}; deploy edge and backend of one version.`,
        );
      }
      const wantsDense = request.plan.retrievers.includes('dense') && terms(request.query).length > 0;
      const brought = request.vector === undefined ? undefined : readVector(request.vector, encoder);
      let vector = wantsDense ? brought : undefined;
      if (wantsDense && brought === undefined) {
        const deadlineAtMs = performance.timeOrigin + began + request.deadlineMs;
        const encoded = await encoder.encode(
          [request.query],
          signal === undefined ? { deadlineAtMs } : { deadlineAtMs, signal },
        );
        vector = encoded.vectors[0];
      }
      const encodedAt = performance.now();
      signal?.throwIfAborted();
      if (encodedAt - began >= request.deadlineMs) {
        const [took, had] = [Math.round(encodedAt - began), Math.round(request.deadlineMs)];
        throw new HarnessError('deadline_exceeded', `Encoding took ${took} ms of ${had}; nothing was searched.`);
      }
      let view: View;
      let proposed: readonly Hit[] = [];
      do {
        view = requireView(live);
        if (vector !== undefined)
          proposed = await view.propose(vector, { limit: depth(request.plan.k), ...admission(request, view) });
      } while (live.view !== view);
      const candidates = search(request, view, { vector, proposed });
      const ended = performance.now();
      return {
        generation: view.number,
        model: encoder.model,
        spaceId: view.spaceId,
        candidates,
        timings: {
          totalMs: ended - began,
          encodeMs: wantsDense ? encodedAt - began : 0,
          searchMs: ended - encodedAt,
        },
      };
    },
  };
}
