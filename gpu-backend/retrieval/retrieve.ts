/**
 * How one request is answered: encode (if the plan wants it), ask the index, then, on one view and without letting go
 * of the thread, search, fuse, calibrate, cut. A swap therefore falls before or after a request's search, never into
 * it; one that falls into the wait for an index elsewhere has the newer generation asked, because later changes are
 * told to that one only.
 */
import type { Candidate, RetrieveRequest, RetrieveResponse } from '../../shared/contract/retrieve.ts';
import { adapted, type CosineAdapter, queryCosines } from '../../shared/cosine-adapter.ts';
import { terms } from '../../shared/coverage.ts';
import { HarnessError } from '../../shared/problem.ts';
import { type RelevanceMap, relevanceOf } from '../../shared/relevance.ts';
import { NORMALIZER_VERSION } from '../../shared/text.ts';
import { Eligibility } from '../catalogue/eligibility.ts';
import type { NewWords } from '../encoder/bundle.ts';
import type { Encoder } from '../encoder/encoder.ts';
import type { Live } from '../generations/live.ts';
import type { Scope, View } from '../generations/view.ts';
import type { Hit } from '../index/ann-index.ts';
import { span } from '../tracing/span.ts';
import { type AdmissionOptions, admission } from './admission.ts';
import { dense } from './dense.ts';
import { type Found, type Fused, fuse } from './fuse.ts';
import { gateEvidence, gateProbability } from './gate.ts';
import { createQueryVectors, type EncodedQuery } from './query-vector.ts';

export interface RetrievalOptions {
  encoder: Encoder;
  live: Live;
  /** The bundle's relevance map. */
  calibration: RelevanceMap;
  /** What a plan's `adapterCutOff` goes by, where the bundle has it. */
  cosineAdapter?: CosineAdapter | undefined;
  /** Tells the queries that have a map of their own, where an ad has the new word. */
  newWords?: NewWords | undefined;
  /** Who may be shown; absent: whoever is booked. */
  admitted?: AdmissionOptions;
  /** The teacher's own vectors of the bundle's head queries, by normalized query. */
  headQueries?: ReadonlyMap<string, Float32Array>;
  /** Called for every answer; the function that it gets returns all that was considered, not only what was returned. */
  onConsidered?: (answer: () => Considered) => void;
  /** Raised with each query; those that share one are counted together. */
  counts?: RetrievalStats;
}

/** All that a request brought up. */
export interface Considered {
  request: RetrieveRequest;
  generation: number;
  /** Name of the bundle. */
  model: string;
  encodedBy: EncodedQuery['by'] | undefined;
  bestCoverage: number;
  /** Most relevant first, those below the cut-off and beyond k too. */
  ads: ConsideredAd[];
}

export interface ConsideredAd {
  adId: string;
  relevance: number;
  /** Where there was a vector of the query and one of the ad. */
  cosine: number | undefined;
  coverage: number;
  sources: Fused['sources'];
  /** Whether it left the backend. */
  returned: boolean;
}

export interface RetrievalStats {
  /** Queries whose vector was the student's, made here or brought. */
  student: number;
  /** Queries whose vector was the teacher's. */
  teacher: number;
  /** Queries that the gate kept from vectors. */
  gated: number;
}

export interface Retrieval {
  /**
   * Candidates of a normalized query under a plan, the most relevant first, then by fused rank, then by ad id; none for a query of stop words only. Throws
   * `not_ready` before the first generation, `bad_request` for another normaliser, `model_mismatch` for a vector of another
   * student, and what the encoder throws.
   */
  retrieve(request: RetrieveRequest, options?: { signal?: AbortSignal }): Promise<RetrieveResponse>;
  /** Since the start. */
  stats(): RetrievalStats;
}

/** One view, and what a request may bring up of it. */
interface Searched {
  view: View;
  scope: Scope;
}

/** Whose the answer is: the encoder may be another model's by the time that it is made. */
interface Asked {
  model: string;
  encoded: EncodedQuery | undefined;
}

const OPEN: AdmissionOptions = { eligibility: new Eligibility(), killed: () => new Set() };

/**
 * Candidates that each retriever hands to fusion: fusion needs more than it returns, or it misses agreement further
 * down.
 */
const depth = (k: number) => Math.max(100, 2 * k);

function requireView(live: Live): View {
  if (live.view === undefined)
    throw new HarnessError('not_ready', 'No generation is live yet; retry in a few seconds.');
  return live.view;
}

export function createRetrieval(options: RetrievalOptions): Retrieval {
  const { encoder, live, cosineAdapter, newWords, admitted = OPEN, headQueries = new Map(), onConsidered } = options;
  const { counts = { student: 0, teacher: 0, gated: 0 } } = options;
  const vectors = createQueryVectors({ encoder, headQueries, counts });

  /** What words and keywords find, where the plan asks them. */
  const byWords = (request: RetrieveRequest, { view, scope }: Searched, near: readonly Found[]) => {
    const { query, plan } = request;
    const limit = depth(plan.k);
    // A plan without the lexical retriever has no lexical evidence either: its arm measures the student alone.
    const lexical = plan.retrievers.includes('lexical')
      ? span('lexical', () => view.lexical(query, { limit, also: new Set(near.map(({ slot }) => slot)), ...scope }))
      : undefined;
    // Whoever found an ad, the best of its keywords that match says what it bids.
    const others = new Set([...near, ...(lexical?.hits ?? [])].map(({ slot }) => slot));
    const asked = plan.retrievers.includes('keyword');
    const { hits, booked } = span('keyword', () =>
      view.keyword(query, { limit: asked ? limit : 0, also: others, ...scope }),
    );
    const coverage = new Map(lexical?.coverage);
    if (asked) for (const [slot, hit] of booked) coverage.set(slot, Math.max(coverage.get(slot) ?? 0, hit.coverage));
    return { lexical: lexical?.hits ?? [], keyword: hits, booked, coverage, terms: new Set(lexical?.terms) };
  };

  /** Whether an ad of this cosine, if it has one, is within what the plan's cut-off by the cosine adapter keeps. */
  const nearEnough = ({ query, plan }: RetrieveRequest, cosines: ReadonlyMap<number, number>) => {
    const { adapterCutOff } = plan;
    if (adapterCutOff === undefined || cosineAdapter === undefined) return () => true;
    const best = queryCosines(query, cosines.values());
    return (cosine: number | undefined) =>
      cosine === undefined || adapted(cosine, best, cosineAdapter) >= adapterCutOff;
  };

  const worthVectors = (request: RetrieveRequest, view: View): boolean => {
    const { denseGate } = request.plan;
    if (denseGate === undefined) return true;
    const { coverage } = byWords(request, { view, scope: admission(request, view, admitted) }, []);
    const worth = gateProbability(gateEvidence(coverage.values(), terms(request.query).length)) >= denseGate;
    if (!worth) counts.gated++;
    return worth;
  };

  const search = (
    request: RetrieveRequest,
    { model, encoded, proposed, ...searched }: Searched & Asked & { proposed: readonly Hit[] },
  ): Candidate[] => {
    const { plan } = request;
    const { view, scope } = searched;
    const vector = encoded?.vector;
    const near =
      vector === undefined
        ? []
        : span('dense.exact', () => dense(view, vector, { proposed, limit: depth(plan.k), ...scope }));
    const { booked, coverage: covered, terms: matched, ...words } = byWords(request, searched, near);
    const found = { ...words, dense: near };
    const bestCoverage = Math.max(0, ...covered.values());
    const fused = span('fuse', () =>
      fuse(
        plan.retrievers.map((retriever) => ({ retriever, found: found[retriever] })),
        (slot) => view.ad(slot).id,
      ),
    );
    // A new word that no ad has either leaves nothing to go by but the cosines.
    const isNew = newWords?.of(request.query).some((word) => matched.has(word));
    const calibration = isNew ? newWords!.calibration : options.calibration;
    const cosines = new Map(near.map(({ slot, score }) => [slot, score]));
    if (vector !== undefined) {
      const others = fused.flatMap(({ slot }) => (cosines.has(slot) ? [] : slot));
      for (const [slot, cosine] of view.cosines(others, vector)) cosines.set(slot, cosine);
    }
    const ranked = fused
      .map(({ slot, sources }) => {
        const coverage = covered.get(slot) ?? 0;
        const cosine = cosines.get(slot);
        const relevance =
          cosine === undefined ? coverage : relevanceOf({ cosine, coverage, bestCoverage }, calibration);
        return { slot, sources, coverage, cosine, relevance };
      })
      // Stable: equal relevance stays in the order of fusion.
      .sort((a, b) => b.relevance - a.relevance);
    // Of a new word the cosines say too little to end a list by.
    const isNear = isNew ? () => true : nearEnough(request, cosines);
    const returned = new Set(
      ranked.filter((ad) => ad.relevance >= plan.minRelevance && isNear(ad.cosine)).slice(0, plan.k),
    );
    onConsidered?.(() => ({
      request,
      generation: view.number,
      model,
      encodedBy: encoded?.by,
      bestCoverage,
      ads: ranked.map((one) => {
        const { slot, ...ad } = one;
        return { adId: view.ad(slot).id, ...ad, returned: returned.has(one) };
      }),
    }));
    return [...returned].map(({ slot, sources, relevance }) => {
      const ad = view.ad(slot);
      const { id, advertiserId, campaignId, title, description, displayUrl, landingUrl } = ad;
      const shown = { advertiserId, campaignId, title, description, displayUrl, landingUrl };
      const { bidMicros = ad.bidMicros, match } = booked.get(slot) ?? {};
      const matched = match === undefined ? {} : { match };
      const under = admitted.eligibility.shownUnder(ad);
      return { adId: id, ...shown, bidMicros, ...matched, ...under, relevance, sources };
    });
  };

  /** Asks the index and, where no newer generation took over while it was waited for, searches at once. */
  const find = async (request: RetrieveRequest, asked: Asked) => {
    const { encoded } = asked;
    for (;;) {
      const view = requireView(live);
      const scope = admission(request, view, admitted);
      const proposing =
        encoded === undefined
          ? []
          : span('dense.index', () => view.propose(encoded.vector, { limit: depth(request.plan.k), ...scope }));
      if (!(proposing instanceof Promise))
        return { view, candidates: search(request, { view, scope, ...asked, proposed: proposing }) };
      const proposed = await proposing;
      if (live.view !== view) continue;
      // What was paused meanwhile is out.
      const now = admission(request, view, admitted);
      return { view, candidates: search(request, { view, scope: now, ...asked, proposed }) };
    }
  };

  return {
    stats: () => ({ ...counts }),
    async retrieve(request, { signal } = {}) {
      const began = performance.now();
      const { model } = encoder;
      if (request.normalizerVersion !== NORMALIZER_VERSION) {
        throw new HarnessError(
          'bad_request',
          `normalizerVersion: expected ${NORMALIZER_VERSION}, got ${request.normalizerVersion}; deploy edge and backend of one version.`,
        );
      }
      if (request.plan.adapterCutOff !== undefined && cosineAdapter === undefined) {
        throw new HarnessError(
          'model_mismatch',
          `plan.adapterCutOff: expected a bundle with a cosine adapter, ${model} has none; npm run recipe -- calibrate fits one.`,
        );
      }
      const brought = vectors.brought(request);
      const wantsDense =
        request.plan.retrievers.includes('dense') &&
        terms(request.query).length > 0 &&
        worthVectors(request, requireView(live));
      const deadlineAtMs = performance.timeOrigin + began + request.deadlineMs;
      const encoded = wantsDense
        ? await span('encode', () =>
            vectors.of(request.query, { brought, deadlineAtMs, ...(signal === undefined ? {} : { signal }) }),
          )
        : undefined;
      const encodedAt = performance.now();
      signal?.throwIfAborted();
      if (encodedAt - began >= request.deadlineMs) {
        const [took, had] = [Math.round(encodedAt - began), Math.round(request.deadlineMs)];
        throw new HarnessError('deadline_exceeded', `Encoding took ${took} ms of ${had}; nothing was searched.`);
      }
      const { view, candidates } = await find(request, { model, encoded });
      const ended = performance.now();
      return {
        generation: view.number,
        model,
        spaceId: view.spaceId,
        candidates,
        ...(encoded === undefined ? {} : { encodedBy: encoded.by }),
        timings: {
          totalMs: ended - began,
          encodeMs: wantsDense ? encodedAt - began : 0,
          searchMs: ended - encodedAt,
        },
      };
    },
  };
}
