/**
 * Workers KV, for the lists of head queries: global, eventually consistent, one write per second and key, and slow for
 * what its nearest copy does not hold. So a read waits only a moment (a late answer warms KV's own cache for the next),
 * and what is written is decided by {@link KvCacheOptions.isHead}, which must need no global state.
 */
import { TIMED_OUT, within } from '../deadline.ts';
import { lastUsed } from '../last-used.ts';
import type { CacheEntry, CachePort } from './cache-port.ts';

type Expiries = Omit<CacheEntry, 'body'>;

/** As much of a KV namespace as is used here. */
export interface EntryNamespace {
  getWithMetadata(key: string, type: 'text'): Promise<{ value: string | null; metadata: unknown }>;
  put(key: string, value: string, options: { expirationTtl: number; metadata: object }): Promise<void>;
}

export interface KvCacheOptions {
  namespace: EntryNamespace;
  /** Whether a path is asked for often enough to be worth a write. */
  isHead: (path: string) => boolean;
  now: () => number;
  /** Milliseconds of a clock that does not go back. */
  steady: () => number;
  /** Longest wait for a read. */
  readMs: number;
}

const PREFIX = 'candidates/';
/** KV takes no shorter life. */
const MIN_TTL_SECONDS = 60;
const WRITE_INTERVAL_MS = 1_000;
/** Paths whose last write is remembered. */
const REMEMBERED = 2_000;

export class KvCache implements CachePort {
  readonly status = 'kv';
  readonly #options: KvCacheOptions;
  readonly #writtenAtMs = lastUsed<number>(REMEMBERED);

  constructor(options: KvCacheOptions) {
    this.#options = options;
  }

  async get(path: string): Promise<CacheEntry | undefined> {
    const { namespace, now, readMs } = this.#options;
    const found = await within(namespace.getWithMetadata(PREFIX + path, 'text'), readMs);
    if (found === TIMED_OUT || found.value === null) return undefined;
    const { storedAtMs, softUntilMs, hardUntilMs } = (found.metadata ?? {}) as Partial<Expiries>;
    // Whatever came under our prefix without our metadata is not ours.
    if (storedAtMs === undefined || softUntilMs === undefined || hardUntilMs === undefined) return undefined;
    return hardUntilMs > now() ? { body: found.value, storedAtMs, softUntilMs, hardUntilMs } : undefined;
  }

  async put(path: string, { body, ...expiries }: CacheEntry): Promise<void> {
    const { namespace, isHead, now, steady } = this.#options;
    const leftMs = expiries.hardUntilMs - now();
    if (leftMs <= 0 || !isHead(path)) return;
    const writtenAtMs = this.#writtenAtMs.get(path);
    if (writtenAtMs !== undefined && steady() - writtenAtMs < WRITE_INTERVAL_MS) return;
    this.#writtenAtMs.set(path, steady());
    const expirationTtl = Math.max(MIN_TTL_SECONDS, Math.ceil(leftMs / 1_000));
    await namespace.put(PREFIX + path, body, { expirationTtl, metadata: expiries });
  }
}
