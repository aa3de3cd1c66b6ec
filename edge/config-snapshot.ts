/**
 * The serving configuration in Workers KV: what a new isolate uses while the backend is away. KV shows a write only
 * after a minute or more and takes one per second and key, so news never travels by it.
 */
import type { ServingConfig } from '../shared/contract/config.ts';
import type { EntryNamespace } from './cache/kv.ts';

export interface ConfigSnapshot {
  /** Whatever is there, unchecked; `undefined` when nothing is. Rejects for what is not JSON. */
  read(): Promise<unknown>;
  /** Keeps the configuration unless it, or a newer one, is there; `false` where that has to wait, because one was written just now. */
  write(config: ServingConfig): Promise<boolean>;
}

const KEY = 'config/serving';
/** A configuration that nobody confirmed for so long is worse than the bundled one. */
const TTL_SECONDS = 30 * 86_400;
/** Between two writes, whoever makes them: a busy catalogue changes every second, and before that nobody would see the second one. */
export const SNAPSHOT_INTERVAL_MS = 60_000;

interface Written {
  version: number;
  /** UTC milliseconds; absent in what a release before wrote. */
  atMs?: number;
}

/** `now` is in UTC milliseconds, which other isolates have too. */
export function kvSnapshot(namespace: EntryNamespace, now: () => number): ConfigSnapshot {
  return {
    async read() {
      const { value } = await namespace.getWithMetadata(KEY, 'text');
      return value === null ? undefined : JSON.parse(value);
    },
    async write(config) {
      // Many isolates learn of a change at once, and one write is enough.
      const { metadata } = await namespace.getWithMetadata(KEY, 'text');
      const { version, atMs } = (metadata as Written | null) ?? { version: -1 };
      if (version >= config.version) return true;
      const nowMs = now();
      if (atMs !== undefined && Math.abs(nowMs - atMs) < SNAPSHOT_INTERVAL_MS) return false;
      const written: Written = { version: config.version, atMs: nowMs };
      await namespace.put(KEY, JSON.stringify(config), { expirationTtl: TTL_SECONDS, metadata: written });
      return true;
    },
  };
}
