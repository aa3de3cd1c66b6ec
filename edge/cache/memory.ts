/**
 * The isolate's own memory, bounded in bytes: W-TinyLFU (Einziger, Friedman and Manes, ACM TOS 2017) over two LRU
 * lists. What is new enters a small window; what falls out of it stays only if it was asked for more often than
 * everything that it would push out together, so that queries that come once do not cost the head its place.
 */
import { LRUCache } from 'lru-cache';
import { Popularity } from '../../shared/popularity.ts';
import type { CacheEntry, CachePort } from './cache-port.ts';

/** The window's share of the bytes. */
const WINDOW = 0.02;
/** Bytes of a typical entry, for the size of the sketch: too small a guess costs a few kilobytes. */
const TYPICAL_BYTES = 8_000;
/** Look-ups between two halvings, as a multiple of the typical number of entries. */
const MEMORY = 16;

/** Of the slates of a list (../slates.ts), for phones and for desktops: 1 kB a slot, of which there are four, or one a candidate. */
const SLATES_BYTES = 8_400;
/** What that is of a list of fewer candidates, as a multiple of its text. */
const SLATES_SHARE = 6;

/**
 * Bytes that an entry takes in V8 (measured): text at one byte a unit, or two where a character lies outside Latin-1; 1.5 times as
 * much once decoded, which the first hit does; its slates; path and bookkeeping.
 */
export function costOf(path: string, { body }: CacheEntry): number {
  const bytesAUnit = /[\u0100-\uffff]/.test(body) ? 2 : 1;
  const slates = Math.min(SLATES_BYTES, SLATES_SHARE * body.length);
  return Math.ceil(2.5 * bytesAUnit * body.length + slates) + path.length + 300;
}

interface Held {
  entry: CacheEntry;
  size: number;
}

export class MemoryCache implements CachePort {
  readonly status = 'memory';
  readonly #window: LRUCache<string, Held>;
  readonly #main: LRUCache<string, Held>;
  readonly #maxEntryBytes: number;
  readonly #popularity: Popularity;
  readonly #now: () => number;

  constructor({ maxBytes, now }: { maxBytes: number; now: () => number }) {
    this.#now = now;
    // One list must not push out all others.
    this.#maxEntryBytes = Math.max(1, Math.floor(maxBytes / 8));
    const entries = Math.max(500, maxBytes / TYPICAL_BYTES);
    this.#popularity = new Popularity({
      width: 2 ** Math.ceil(Math.log2(4 * entries)),
      halveEvery: Math.ceil(MEMORY * entries),
    });
    const windowBytes = Math.max(1, Math.floor(WINDOW * maxBytes));
    this.#window = new LRUCache({
      maxSize: windowBytes,
      sizeCalculation: ({ size }) => size,
      dispose: (held, path, reason) => reason === 'evict' && this.#admit(path, held),
    });
    this.#main = new LRUCache({
      // In whole bytes, which a setting in megabytes need not come to.
      maxSize: Math.max(1, Math.floor(maxBytes) - windowBytes),
      sizeCalculation: ({ size }) => size,
    });
  }

  /** What it holds now. */
  get size(): { entries: number; bytes: number } {
    return {
      entries: this.#window.size + this.#main.size,
      bytes: this.#window.calculatedSize + this.#main.calculatedSize,
    };
  }

  /** How often a path was asked for lately; seldom more than it was. */
  asked(path: string): number {
    return this.#popularity.estimate(path);
  }

  async get(path: string): Promise<CacheEntry | undefined> {
    this.#popularity.record(path);
    const held = this.#main.get(path) ?? this.#window.get(path);
    if (held === undefined || held.entry.hardUntilMs > this.#now()) return held?.entry;
    this.#main.delete(path);
    this.#window.delete(path);
    return undefined;
  }

  async put(path: string, entry: CacheEntry): Promise<void> {
    if (entry.hardUntilMs <= this.#now()) return;
    const held = { entry, size: costOf(path, entry) };
    const known = this.#main.delete(path);
    if (!known && held.size <= this.#window.maxSize) {
      this.#window.set(path, held);
      return;
    }
    this.#window.delete(path);
    if (held.size <= this.#maxEntryBytes) this.#admit(path, held);
  }

  /** Makes room by leaving out the least recently used, if these together are asked for less than what comes. */
  #admit(path: string, held: Held): void {
    let missing = held.size - (this.#main.maxSize - this.#main.calculatedSize);
    let worth = 0;
    const victims: string[] = [];
    for (const victim of this.#main.rkeys()) {
      if (missing <= 0) break;
      const { entry, size } = this.#main.peek(victim)!;
      // Past its soft expiry nobody has asked for it: an older generation, say, or what was popular yesterday.
      if (entry.softUntilMs > this.#now()) worth += this.asked(victim);
      missing -= size;
      victims.push(victim);
    }
    if (victims.length > 0 && this.asked(path) <= worth) return;
    for (const victim of victims) this.#main.delete(victim);
    this.#main.set(path, held);
  }
}
