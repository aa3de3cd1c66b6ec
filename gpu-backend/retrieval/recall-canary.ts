/**
 * A canary for the index: now and then a few of the queries that people asked lately are searched exactly too, and the share
 * that the index found is a metric. The gate (generations/gate.ts) asks the same of a new generation with queries of
 * the bundle; here they are today's, against the index as it has become. Queries are kept in memory only.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import type { Encoder } from '../encoder/encoder.ts';
import type { Live } from '../generations/live.ts';
import { byScore, type Hit } from '../index/ann-index.ts';

export interface RecallCanaryOptions {
  live: Pick<Live, 'view'>;
  encoder: Pick<Encoder, 'encode'>;
  /** Rows that one run may score; at least one query is asked. */
  maxRows?: number;
}

export interface RecallCanary {
  /** A query that was asked: may be one of those tried next. */
  observe(request: Pick<RetrieveRequest, 'query' | 'market' | 'plan'>): void;
  /** Tries the queries seen since the last run, as many as the bound allows; nothing when there are none. */
  run(signal: AbortSignal): Promise<void>;
  /** Mean recall@10 of the last run that had queries, not a number before; queries tried since the start. */
  stats(): { recall: number; queries: number };
}

const K = 10;
/** Queries of a run at most. */
const MAX_QUERIES = 16;
/** Rows scored before others get a turn: about a millisecond. */
const SLICE = 4_096;

export function createRecallCanary({ live, encoder, maxRows = 4_000_000 }: RecallCanaryOptions): RecallCanary {
  /** A uniform sample of what was seen since the last run (reservoir sampling, Vitter's algorithm R). */
  let sample: { query: string; market: string }[] = [];
  let seen = 0;
  let recall = Number.NaN;
  let queries = 0;

  /** Share of the exact best that the index finds; `undefined` when a swap came in between or there is nothing to find. */
  async function tried({ query, market }: { query: string; market: string }): Promise<number | undefined> {
    const vector = (await encoder.encode([query])).vectors[0]!;
    const view = live.view;
    if (view === undefined) return undefined;
    const scope = { market, admits: () => true, limit: K };
    const found = await view.propose(vector, scope);
    let best: Hit[] = [];
    for (let from = 0; from < view.indexed; from += SLICE) {
      best = [...best, ...view.exact(vector, { ...scope, from, to: from + SLICE })].sort(byScore).slice(0, K);
      await nextTurn();
      if (live.view !== view) return undefined;
    }
    if (best.length === 0) return undefined;
    const floor = best.at(-1)!.score - 1e-6; // a tie with the last is as good
    return Math.min(1, found.filter(({ score }) => score >= floor).length / best.length);
  }

  return {
    stats: () => ({ recall, queries }),
    observe({ query, market, plan }) {
      if (!plan.retrievers.includes('dense')) return;
      seen++;
      if (sample.length < MAX_QUERIES) sample.push({ query, market });
      else {
        const place = Math.floor(Math.random() * seen);
        if (place < MAX_QUERIES) sample[place] = { query, market };
      }
    },
    async run(signal) {
      const rows = live.view?.indexed ?? 0;
      if (rows === 0) return;
      const asked = sample.slice(0, Math.max(1, Math.floor(maxRows / rows)));
      sample = [];
      seen = 0;
      const shares: number[] = [];
      for (const each of asked) {
        if (signal.aborted) return;
        const share = await tried(each);
        if (share !== undefined) shares.push(share);
      }
      if (shares.length === 0) return;
      queries += shares.length;
      recall = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    },
  };
}
