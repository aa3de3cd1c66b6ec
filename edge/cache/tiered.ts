/**
 * The tiers as one cache (RFC 5861's terms): fresh from the nearest tier that has it; for a while after that stale at
 * once, while it is refreshed, from a farther tier or by one call; then from the backend, once per isolate, however
 * many ask (single flight); and stale again, up to the hard expiry, while the backend is away. A list found in a far
 * tier is copied to the nearer ones. A cache that stands in front of the backend (workers-cache.ts) answers in its
 * name, and says since when it has the list.
 */
import type { CacheStatus } from '../../shared/contract/query-route.ts';
import { HarnessError, type ProblemCode } from '../../shared/problem.ts';
import { TIMED_OUT, within } from '../deadline.ts';
import { type CacheEntry, type CacheKey, type CachePort, cachePath } from './cache-port.ts';

export interface Found {
  entry: CacheEntry;
  status: CacheStatus;
  ageMs: number;
  /** Why something stale had to stand in; absent for a stale list that is being refreshed in good time. */
  reason?: ProblemCode;
  /** The list came by a second call, or from the second origin. */
  hedged?: boolean;
}

/** What the backend answered: the body to keep, and the generation that it belongs to. */
export interface Loaded {
  body: string;
  generation: number;
  /** The list has no candidates: kept for a shorter time, since what is missing may be booked any moment. */
  empty: boolean;
  /** It came by a second call, or from the second origin. */
  hedged?: boolean;
  /** When a cache in front of the backend stored it; absent where the backend answered. */
  cachedAtMs?: number;
}

export interface Lookup {
  key: CacheKey;
  /** Asks the backend, urgently when nothing can stand in for the answer; rejects with a {@link HarnessError}. */
  load: (options: { urgent: boolean }) => Promise<Loaded>;
  /** Keeps the request alive for work that outlives its answer. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** How long lists live. */
export interface Lives {
  /** How long a list is fresh; up to {@link JITTER} of it less, so that what was stored together is not asked for together. */
  softMs: number;
  /** How much longer it answers at once while it is refreshed. */
  revalidateMs: number;
  /** Age at which it is gone. */
  hardMs: number;
  /** Soft and hard life of an empty list, as a share of another's. */
  emptyShare: number;
}

export interface TieredOptions extends Lives {
  /** Nearest first. */
  tiers: readonly CachePort[];
  now: () => number;
  /** Milliseconds of a clock that does not go back. */
  steady: () => number;
  /** Uniform in [0, 1), for the spread of expiries. */
  random: () => number;
  /** How long a request waits for another one's call before it makes its own. */
  followMs: number;
  /** Told of a tier that failed; the ladder goes on without it. */
  onTierError: (status: CacheStatus, error: unknown) => void;
}

const JITTER = 0.1;
/**
 * A call that has been under way for this many times `followMs`, twice its deadline, died with its request and will
 * never return.
 */
const DEAD_AFTER = 4;
/** Calls that a request waits for, one after the other: two fill its time, and the third has hardly any left. */
const MOST_FOLLOWED = 3;

interface Flight {
  done: Promise<Fetched>;
  startedAtMs: number;
}

interface Fetched {
  entry: CacheEntry;
  status: CacheStatus;
  hedged: boolean;
}

/** What a tier had. */
interface Held {
  entry: CacheEntry;
  status: CacheStatus;
  /** The tier, counted from the nearest. */
  depth: number;
}

/** What a call is made for. */
interface Purpose {
  /** Nothing can stand in for the answer. */
  urgent: boolean;
  /** The nearest tier that was not looked at; none where all were. */
  unseen?: number;
}

export class TieredCache {
  readonly counts: Record<CacheStatus, number> = { miss: 0, memory: 0, colo: 0, kv: 0, stale: 0, bypass: 0 };
  /**
   * Calls under way, by path, the oldest first. Only plain values come out of them: a Response belongs to its own
   * request.
   */
  readonly #flights = new Map<string, Flight>();
  readonly #options: TieredOptions;

  constructor(options: TieredOptions) {
    this.#options = options;
  }

  /** Rejects with the backend's error when nothing, not even something stale, is there. */
  async find(lookup: Lookup): Promise<Found> {
    const path = cachePath(lookup.key);
    const near = await this.#nearest(path, lookup);
    if (near !== undefined) {
      if (this.#isFresh(near.entry)) return this.#found(near.entry, near.status);
      if (this.#answersAtOnce(near.entry)) {
        // One refresh at a time, whose failure is the next request's business: this one has its answer.
        if (this.#inTheAir(path) === undefined)
          void this.#lead(path, lookup, { urgent: false, unseen: near.depth + 1 });
        return this.#found(near.entry, 'stale');
      }
    }
    try {
      const { entry, status, hedged } = await this.#once(path, lookup, { urgent: near === undefined });
      const found = { ...this.#found(entry, status), hedged };
      // A cache in front of the backend goes beyond the time of refreshing only where the backend failed.
      return this.#answersAtOnce(entry) ? found : { ...found, reason: 'backend_unavailable' };
    } catch (error) {
      if (near === undefined || !(error instanceof HarnessError)) throw error;
      return { ...this.#found(near.entry, 'stale'), reason: error.code };
    }
  }

  #found(entry: CacheEntry, status: CacheStatus): Found {
    this.counts[status] += 1;
    return { entry, status, ageMs: status === 'miss' ? 0 : Math.max(0, this.#options.now() - entry.storedAtMs) };
  }

  /**
   * Not one that was stored in the future, by a clock that is ahead or before this one was set back: it would be fresh
   * for as long as the two differ. A difference below the life of a list does not matter.
   */
  #isFresh({ storedAtMs, softUntilMs }: CacheEntry): boolean {
    const { now, softMs } = this.#options;
    return softUntilMs > now() && storedAtMs - now() < softMs;
  }

  /** Whether it is fresh, or stale for so short a time that nobody waits for a newer one. */
  #answersAtOnce({ softUntilMs }: CacheEntry): boolean {
    const { now, revalidateMs } = this.#options;
    return softUntilMs + revalidateMs > now();
  }

  /** Of the tiers from a depth on: the first entry that answers at once, else the newest stale one. */
  async #nearest(path: string, { waitUntil }: Lookup, from = 0): Promise<Held | undefined> {
    const { tiers, onTierError } = this.#options;
    let stale: Held | undefined;
    for (const [depth, tier] of tiers.entries()) {
      if (depth < from) continue;
      const entry = await tier.get(path).catch((error) => onTierError(tier.status, error));
      if (entry === undefined) continue;
      const held = { entry, status: tier.status, depth };
      if (depth > 0 && this.#isFresh(entry)) waitUntil(this.#keep(path, entry, depth));
      if (this.#answersAtOnce(entry)) return held;
      if (stale === undefined || stale.entry.storedAtMs < entry.storedAtMs) stale = held;
    }
    return stale;
  }

  /** The call for a path, unless it is dead. */
  #inTheAir(path: string): Flight | undefined {
    const flight = this.#flights.get(path);
    return flight !== undefined && !this.#isDead(flight) ? flight : undefined;
  }

  #isDead({ startedAtMs }: Flight): boolean {
    const { steady, followMs } = this.#options;
    return steady() - startedAtMs > DEAD_AFTER * followMs;
  }

  /** Those that nobody asks for again would stay for good. */
  #forgetDead(): void {
    for (const [path, flight] of this.#flights) {
      if (!this.#isDead(flight)) return;
      this.#flights.delete(path);
    }
  }

  /**
   * Joins the call that is under way or makes one. A leader that died with its request holds nobody for longer than
   * `followMs`: the first follower to wake leads the others, and who followed too often gives up, so that a slow
   * backend is not called by all.
   */
  async #once(path: string, lookup: Lookup, purpose: Purpose): Promise<Fetched> {
    const { followMs } = this.#options;
    for (let followed = 0; followed < MOST_FOLLOWED; followed++) {
      const flight = this.#inTheAir(path);
      if (flight === undefined) return this.#lead(path, lookup, purpose);
      const shared = await within(flight.done, followMs);
      if (shared !== TIMED_OUT) return shared;
      if (this.#flights.get(path) === flight) this.#flights.delete(path);
      // Another follower may have asked, and be done, before this one woke up.
      const near = await this.#nearest(path, lookup);
      if (near !== undefined && this.#isFresh(near.entry)) return { ...near, hedged: false };
    }
    throw new HarnessError('deadline_exceeded', `candidates: none of ${MOST_FOLLOWED} calls landed in ${followMs} ms.`);
  }

  #lead(path: string, lookup: Lookup, purpose: Purpose): Promise<Fetched> {
    this.#forgetDead();
    const done = this.#load(path, lookup, purpose).finally(() => {
      if (this.#flights.get(path)?.done === done) this.#flights.delete(path);
    });
    this.#flights.set(path, { done, startedAtMs: this.#options.steady() });
    // The call outlives a leader whose client hangs up, because others may be waiting for it.
    lookup.waitUntil(done.catch(() => undefined));
    return done;
  }

  async #load(path: string, lookup: Lookup, { urgent, unseen }: Purpose): Promise<Fetched> {
    const { now, random, softMs, hardMs, emptyShare } = this.#options;
    const { key, load, waitUntil } = lookup;
    // What another isolate asked the backend for is as good.
    const far = unseen === undefined ? undefined : await this.#nearest(path, lookup, unseen);
    if (far !== undefined && this.#isFresh(far.entry)) return { ...far, hedged: false };
    const { body, generation, empty, hedged = false, cachedAtMs } = await load({ urgent });
    const storedAtMs = cachedAtMs ?? now();
    // One expiry for all that have it from the cache in front: the platform spreads nothing.
    const spread = cachedAtMs === undefined ? JITTER * random() : 0;
    const share = empty ? emptyShare : 1;
    const entry: CacheEntry = {
      body,
      storedAtMs,
      softUntilMs: storedAtMs + Math.ceil(share * softMs * (1 - spread)),
      hardUntilMs: storedAtMs + Math.ceil(share * hardMs),
    };
    // Kept under the generation that answered, which may be newer than the one asked for.
    const keptAt = generation === key.generation ? path : cachePath({ ...key, generation });
    waitUntil(this.#keep(keptAt, entry, this.#options.tiers.length));
    const fresh = cachedAtMs === undefined ? 'miss' : 'colo';
    return { entry, status: this.#isFresh(entry) ? fresh : 'stale', hedged };
  }

  /** Puts the entry into the nearest `depth` tiers. */
  async #keep(path: string, entry: CacheEntry, depth: number): Promise<void> {
    const tiers = this.#options.tiers.slice(0, depth);
    await Promise.all(
      tiers.map((tier) => tier.put(path, entry).catch((error) => this.#options.onTierError(tier.status, error))),
    );
  }
}
