/** The isolate's own memory: least recently used, bounded in bytes. */
import { LRUCache } from 'lru-cache';
import type { CacheEntry, CachePort } from './cache-port.ts';

/**
 * Bytes that an entry takes in V8 (measured on lists of 40 candidates): text at one byte a unit, or two where a character
 * lies outside Latin-1; 1.4 times as much once decoded, which the first hit does; path and bookkeeping.
 */
function costOf(path: string, { body }: CacheEntry): number {
  const bytesAUnit = /[\u0100-\uffff]/.test(body) ? 2 : 1;
  return Math.ceil(2.5 * bytesAUnit * body.length) + path.length + 300;
}

export class MemoryCache implements CachePort {
  readonly status = 'memory';
  readonly #entries: LRUCache<string, CacheEntry>;
  readonly #now: () => number;

  constructor(options: { maxBytes: number; now: () => number }) {
    this.#now = options.now;
    this.#entries = new LRUCache({
      maxSize: options.maxBytes,
      // One list must not push out all others.
      maxEntrySize: Math.max(1, Math.floor(options.maxBytes / 8)),
      sizeCalculation: (entry, path) => costOf(path, entry),
    });
  }

  /** What it holds now. */
  get size(): { entries: number; bytes: number } {
    return { entries: this.#entries.size, bytes: this.#entries.calculatedSize };
  }

  async get(path: string): Promise<CacheEntry | undefined> {
    const entry = this.#entries.get(path);
    if (entry === undefined || entry.hardUntilMs > this.#now()) return entry;
    this.#entries.delete(path);
    return undefined;
  }

  async put(path: string, entry: CacheEntry): Promise<void> {
    if (entry.hardUntilMs > this.#now()) this.#entries.set(path, entry);
  }
}
