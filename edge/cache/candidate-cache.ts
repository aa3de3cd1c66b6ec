/** The cache of candidate lists as the settings want it: which tiers it has, the nearest first, and how long lists live. */
import type { CacheStatus } from '../../shared/contract/query-route.ts';
import type { EdgeSettings } from '../env.ts';
import type { CachePort } from './cache-port.ts';
import { ColoCache, type ResponseCache } from './colo.ts';
import { type EntryNamespace, KvCache } from './kv.ts';
import { MemoryCache } from './memory.ts';
import { type Lives, TieredCache } from './tiered.ts';

/** A query belongs to the head when this isolate met it this often among its last tens of thousands. */
const HEAD_COUNT = 5;
/** Longest wait for the data centre's cache, as a share of the time for an answer. */
const COLO_READ_SHARE = 0.25;
/** Longest wait for KV on the way to the backend. */
const KV_READ_MS = 20;
/** What is missing may be booked any moment. */
const EMPTY_SHARE = 0.25;

export interface CandidateCacheOptions {
  settings: EdgeSettings;
  /** Opens the data centre's cache; `undefined` where there is none. */
  openCache: (() => Promise<ResponseCache>) | undefined;
  /** Lists of head queries for all data centres; `undefined` where there are none. */
  kv: EntryNamespace | undefined;
  now: () => number;
  /** Milliseconds of a clock that does not go back. */
  steady: () => number;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Told of a tier that failed. */
  onTierError: (status: CacheStatus, error: unknown) => void;
}

export interface CandidateCache {
  cache: TieredCache;
  /** Its nearest tier. */
  memory: MemoryCache;
  lives: Lives;
}

export function candidateCache(options: CandidateCacheOptions): CandidateCache {
  const { settings, openCache, kv, now, steady, random, onTierError } = options;
  const memory = new MemoryCache({ maxBytes: settings.cacheMemoryBytes, now });
  const isHead = (path: string) => memory.asked(path) >= HEAD_COUNT;
  const tiers: CachePort[] = [memory];
  if (settings.cacheApi && openCache !== undefined)
    tiers.push(new ColoCache({ open: openCache, now, readMs: COLO_READ_SHARE * settings.backendDeadlineMs }));
  if (kv !== undefined) tiers.push(new KvCache({ namespace: kv, isHead, now, steady, readMs: KV_READ_MS }));
  const lives = {
    softMs: settings.cacheSoftMs,
    revalidateMs: settings.cacheRevalidateMs,
    hardMs: settings.cacheHardMs,
    emptyShare: EMPTY_SHARE,
  };
  const followMs = settings.backendDeadlineMs / 2;
  return { cache: new TieredCache({ tiers, now, steady, random, ...lives, followMs, onTierError }), memory, lives };
}
