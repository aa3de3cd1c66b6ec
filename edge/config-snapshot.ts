/**
 * The serving configuration in Workers KV: what a new isolate uses while the backend is away. KV shows a write only
 * after a minute or more and takes one per second and key, so news never travels by it.
 */
import type { ServingConfig } from '../shared/contract/config.ts';
import type { EntryNamespace } from './cache/kv.ts';

export interface ConfigSnapshot {
  /** Whatever is there, unchecked; `undefined` when nothing is. Rejects for what is not JSON. */
  read(): Promise<unknown>;
  /** Keeps the configuration unless it, or a newer one, is there. */
  write(config: ServingConfig): Promise<void>;
}

const KEY = 'config/serving';
/** A configuration that nobody confirmed for so long is worse than the bundled one. */
const TTL_SECONDS = 30 * 86_400;

export function kvSnapshot(namespace: EntryNamespace): ConfigSnapshot {
  return {
    async read() {
      const { value } = await namespace.getWithMetadata(KEY, 'text');
      return value === null ? undefined : JSON.parse(value);
    },
    async write(config) {
      // Many isolates learn of a change at once, and one write is enough.
      const { metadata } = await namespace.getWithMetadata(KEY, 'text');
      const there = (metadata as { version: number } | null)?.version ?? -1;
      if (there >= config.version) return;
      await namespace.put(KEY, JSON.stringify(config), {
        expirationTtl: TTL_SECONDS,
        metadata: { version: config.version },
      });
    },
  };
}
