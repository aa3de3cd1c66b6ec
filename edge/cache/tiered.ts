/**
 * The ladder over the tiers: fresh from the nearest tier that has it, else from the backend once an isolate however many
 * ask (single flight), else stale while the backend is away. A list found in a far tier is copied to the nearer ones.
 */
import type { CacheStatus } from '../../shared/contract/ads.ts';
import { HarnessError, type ProblemCode } from '../../shared/problem.ts';
import { TIMED_OUT, within } from '../deadline.ts';
import { type CacheEntry, type CacheKey, type CachePort, cachePath } from './cache-port.ts';

export interface Found {
  entry: CacheEntry;
  status: CacheStatus;
  ageMs: number;
  /** Why it is stale. */
  reason?: ProblemCode;
}

/** What the backend answered: the body to keep, and the generation that it belongs to. */
export interface Loaded {
  body: string;
  generation: number;
}

export interface Lookup {
  key: CacheKey;
  /** Asks the backend; rejects with a {@link HarnessError}. */
  load: () => Promise<Loaded>;
  /** Keeps the request alive for work that outlives its answer. */
  waitUntil: (work: Promise<unknown>) => void;
}

export interface TieredOptions {
  /** Nearest first. */
  tiers: readonly CachePort[];
  now: () => number;
  softMs: number;
  hardMs: number;
  /** How long a request waits for another one's call before it makes its own. */
  followMs: number;
  /** Told of a tier that failed; the ladder goes on without it. */
  onTierError: (status: CacheStatus, error: unknown) => void;
}

export class TieredCache {
  readonly counts: Record<CacheStatus, number> = { miss: 0, memory: 0, colo: 0, kv: 0, stale: 0, bypass: 0 };
  /** Calls in the air, by path. Only plain values come out of them: a Response belongs to its own request. */
  readonly #flights = new Map<string, Promise<CacheEntry>>();
  readonly #options: TieredOptions;

  constructor(options: TieredOptions) {
    this.#options = options;
  }

  /** Rejects with the backend's error when nothing, not even something stale, is there. */
  async find(lookup: Lookup): Promise<Found> {
    const path = cachePath(lookup.key);
    const near = await this.#nearest(path, lookup);
    if (near !== undefined && near.entry.softUntilMs > this.#options.now()) return this.#found(near.entry, near.status);
    try {
      const { entry, status } = await this.#once(path, lookup);
      return this.#found(entry, status);
    } catch (error) {
      if (near === undefined || !(error instanceof HarnessError)) throw error;
      return { ...this.#found(near.entry, 'stale'), reason: error.code };
    }
  }

  #found(entry: CacheEntry, status: CacheStatus): Found {
    this.counts[status] += 1;
    return { entry, status, ageMs: status === 'miss' ? 0 : Math.max(0, this.#options.now() - entry.storedAtMs) };
  }

  /** The first fresh entry, else the first stale one. */
  async #nearest(path: string, { waitUntil }: Lookup): Promise<{ entry: CacheEntry; status: CacheStatus } | undefined> {
    let stale: { entry: CacheEntry; status: CacheStatus } | undefined;
    for (const [depth, tier] of this.#options.tiers.entries()) {
      const entry = await tier.get(path).catch((error) => this.#options.onTierError(tier.status, error));
      if (entry === undefined) continue;
      if (entry.softUntilMs > this.#options.now()) {
        if (depth > 0) waitUntil(this.#keep(path, entry, depth));
        return { entry, status: tier.status };
      }
      stale ??= { entry, status: tier.status };
    }
    return stale;
  }

  /** Joins the call in the air or makes one. A leader that died with its request holds nobody for longer than `followMs`. */
  async #once(path: string, lookup: Lookup): Promise<{ entry: CacheEntry; status: CacheStatus }> {
    for (let round = 0; round < 2; round++) {
      const flight = this.#flights.get(path);
      if (flight === undefined) break;
      const shared = await within(flight, this.#options.followMs);
      if (shared !== TIMED_OUT) return { entry: shared, status: 'miss' };
      if (this.#flights.get(path) === flight) this.#flights.delete(path);
      // Another follower may have asked, and be done, before this one woke up.
      const near = await this.#nearest(path, lookup);
      if (near !== undefined && near.entry.softUntilMs > this.#options.now()) return near;
    }
    const flight = this.#load(path, lookup).finally(() => {
      if (this.#flights.get(path) === flight) this.#flights.delete(path);
    });
    this.#flights.set(path, flight);
    // The call outlives a leader whose client hangs up, because others may be waiting for it.
    lookup.waitUntil(flight.catch(() => undefined));
    return { entry: await flight, status: 'miss' };
  }

  async #load(path: string, { key, load, waitUntil }: Lookup): Promise<CacheEntry> {
    const { body, generation } = await load();
    const storedAtMs = this.#options.now();
    const entry: CacheEntry = {
      body,
      storedAtMs,
      softUntilMs: storedAtMs + this.#options.softMs,
      hardUntilMs: storedAtMs + this.#options.hardMs,
    };
    // Kept under the generation that answered, which may be newer than the one asked for.
    const keptAt = generation === key.generation ? path : cachePath({ ...key, generation });
    waitUntil(this.#keep(keptAt, entry, this.#options.tiers.length));
    return entry;
  }

  /** Puts the entry into the nearest `depth` tiers. */
  async #keep(path: string, entry: CacheEntry, depth: number): Promise<void> {
    const tiers = this.#options.tiers.slice(0, depth);
    await Promise.all(
      tiers.map((tier) => tier.put(path, entry).catch((error) => this.#options.onTierError(tier.status, error))),
    );
  }
}
