/**
 * Where candidate lists are kept between requests: one interface, one adapter per tier. What is stored depends on
 * nothing but its key, so a key names everything that an answer of the backend depends on, and nothing about a person.
 */
import type { CacheStatus } from '../../shared/contract/query-route.ts';
import { sha256Hex } from '../../shared/digest.ts';

export interface CacheKey {
  readonly listVersion: number;
  readonly normalizerVersion: number;
  /** The live generation as far as this isolate knows; `null` before it has heard of one. */
  readonly generation: number | null;
  /** Fingerprint of the plan. */
  readonly plan: string;
  readonly market: string;
  readonly locale: string;
  /** Hex SHA-256 of the normalized query. */
  readonly queryHash: string;
}

/** Strings and numbers only, so that entries may pass between requests. */
export interface CacheEntry {
  body: string;
  storedAtMs: number;
  /** Until then it answers by itself; after it, only while the backend cannot. */
  softUntilMs: number;
  /** From then on it is gone. */
  hardUntilMs: number;
}

export interface CachePort {
  /** What `cache.status` says when this tier answered. */
  readonly status: CacheStatus;
  /** The entry under a path, unless there is none or it is past its hard expiry. */
  get(path: string): Promise<CacheEntry | undefined>;
  /** Keeps the entry if it can; a tier may forget at any time. */
  put(path: string, entry: CacheEntry): Promise<void>;
}

/** Keys are never changed, and those of frequent requests come again. */
const paths = new WeakMap<CacheKey, string>();

/** Every dimension of the key in its own path segment: equal keys, equal paths; different keys, different paths. */
export function cachePath(key: CacheKey): string {
  let path = paths.get(key);
  if (path === undefined) {
    const { listVersion, normalizerVersion, generation, plan, market, locale, queryHash } = key;
    path = [listVersion, normalizerVersion, generation ?? 'none', plan, market, locale, queryHash]
      .map((part) => encodeURIComponent(part))
      .join('/');
    paths.set(key, path);
  }
  return path;
}

/** The query's part of a key. */
export function queryHash(normalizedQuery: string): Promise<string> {
  return sha256Hex(normalizedQuery);
}
