/**
 * Where the head's ads come from: the backend's list, kept in KV and read from there when it is needed. They are no part of
 * the Worker's bundle, because a catalogue moves on between deployments; and an isolate that is never without a backend
 * never reads them.
 */
import type { HeadAds } from '../../shared/contract/head.ts';
import type { Candidate } from '../../shared/contract/retrieve.ts';
import type { Plan } from '../../shared/plan.ts';
import { within } from '../deadline.ts';
import { HeadIndex } from './head-index.ts';
import type { HeadShelf } from './head-shelf.ts';

export interface HeadStoreOptions {
  /** Asks the backend. */
  load: () => Promise<HeadAds>;
  /** Without one, each isolate keeps what it asked for. */
  shelf: HeadShelf | undefined;
  /** The newest generation that this isolate has heard of. */
  generation: () => number | null;
  /** The oldest generation that the kill list covers. */
  since: () => number;
  now: () => number;
  /** Milliseconds of a clock that does not go back. */
  steady: () => number;
  /** Uniform in [0, 1): isolates that hear of a generation together, or see that the list is old, do not all ask at once. */
  random: () => number;
  /** How long a request waits for a list that is looked for in KV. */
  waitMs: number;
  onError: (message: string, error: unknown) => void;
}

export interface HeadQuery {
  /** Normalized. */
  query: string;
  market: string;
  plan: Pick<Plan, 'k' | 'minRelevance'>;
  waitUntil: (work: Promise<unknown>) => void;
}

export interface HeadFound {
  candidates: Candidate[];
  generation: number;
  ageMs: number;
}

/** How often an isolate looks whether the list is old. */
const CHECK_MS = 60_000;
/**
 * When it is, or, by chance, up to twice that: KV shows a new list a minute late, and without chance all isolates would have asked for one
 * by then.
 */
const REFRESH_MS = 300_000;
/** From this age on it is not shown: prices and addresses of yesterday. */
export const HEAD_MAX_AGE_MS = 86_400_000;
/** How often a list that is missing or too old is looked for in KV. */
const RECALL_MS = 5_000;

export class HeadStore {
  readonly counts = { asked: 0, recalled: 0, failed: 0, searched: 0 };
  readonly #options: HeadStoreOptions;
  #index: HeadIndex | undefined;
  #dueAtMs = Number.NEGATIVE_INFINITY;
  #knownGeneration = 0;
  #recallAtMs = Number.NEGATIVE_INFINITY;
  #recall: Promise<void> | undefined;

  constructor(options: HeadStoreOptions) {
    this.#options = options;
  }

  /** What is in memory; `null` when nothing was needed yet. */
  get state(): { generation: number; ads: number; ageMs: number } | null {
    if (this.#index === undefined) return null;
    const { generation, size, atMs } = this.#index;
    return { generation, ads: size, ageMs: this.#options.now() - atMs };
  }

  /** Called for every request: sees to it, in the background, that the list on the shelf is a recent one. */
  keepUp(waitUntil: (work: Promise<unknown>) => void): void {
    const { steady, random, generation } = this.#options;
    const newest = generation() ?? 0;
    if (newest > this.#knownGeneration) {
      // Before the first generation is known there is nothing to ask for.
      this.#dueAtMs = Math.min(this.#dueAtMs, steady() + random() * CHECK_MS);
      this.#knownGeneration = newest;
    }
    if (this.#knownGeneration === 0 || steady() < this.#dueAtMs) return;
    this.#dueAtMs = steady() + CHECK_MS;
    waitUntil(this.#refresh(newest));
  }

  /** The head's ads for a query; `undefined` when there is no list that may be shown. Never rejects. */
  async find({ query, market, plan, waitUntil }: HeadQuery): Promise<HeadFound | undefined> {
    const { waitMs, now } = this.#options;
    if (this.#servable === undefined) await within(this.#recalled(RECALL_MS, waitUntil), waitMs);
    else void this.#recalled(REFRESH_MS, waitUntil);
    const index = this.#servable;
    if (index === undefined) return undefined;
    this.counts.searched += 1;
    const { generation, atMs } = index;
    const candidates = index.search(query, market, plan);
    return { candidates, generation, ageMs: Math.max(0, now() - atMs) };
  }

  /** Only a list that the kill list covers: of an older one it does not say what was taken down. */
  get #servable(): HeadIndex | undefined {
    const { now, since } = this.#options;
    const index = this.#index;
    return index !== undefined && this.#recent(index, HEAD_MAX_AGE_MS, now()) && index.generation >= since()
      ? index
      : undefined;
  }

  #recent(stamp: { atMs: number }, maxAgeMs: number, nowMs: number): boolean {
    return nowMs - stamp.atMs < maxAgeMs;
  }

  async #refresh(newest: number): Promise<void> {
    const { load, shelf, now, random } = this.#options;
    try {
      const stamp = shelf === undefined ? this.#index : await shelf.stamp();
      const oldMs = REFRESH_MS * (1 + random());
      if (stamp !== undefined && stamp.generation >= newest && this.#recent(stamp, oldMs, now())) return;
      this.counts.asked += 1;
      const ads = await load();
      if (shelf === undefined) this.#index = new HeadIndex(ads);
      else await shelf.write(ads);
    } catch (error) {
      this.#failed('the ads of the head were not refreshed', error);
    }
  }

  /** Reads the shelf unless that began less than `everyMs` ago: not once a request, and not for good by one that died. */
  #recalled(everyMs: number, waitUntil: HeadQuery['waitUntil']): Promise<void> {
    const { shelf, steady } = this.#options;
    if (shelf === undefined) return Promise.resolve();
    if (steady() - this.#recallAtMs < everyMs) return this.#recall ?? Promise.resolve();
    this.#recallAtMs = steady();
    const recall = shelf
      .read()
      .then((ads) => {
        if (ads !== undefined && ads.atMs >= (this.#index?.atMs ?? 0)) this.#index = new HeadIndex(ads);
        this.counts.recalled += 1;
      })
      .catch((error) => this.#failed('the ads of the head could not be read', error))
      .finally(() => {
        if (this.#recall === recall) this.#recall = undefined;
      });
    this.#recall = recall;
    waitUntil(recall);
    return recall;
  }

  #failed(message: string, error: unknown): void {
    this.counts.failed += 1;
    this.#options.onError(message, error);
  }
}
