/**
 * Vectors of the texts asked for most, bounded in bytes: W-TinyLFU (Einziger, Friedman and Manes, ACM TOS 2017).
 * Queries follow Zipf's law, and most of their tail comes only once: what is new enters a small window, and stays
 * afterwards only if it is asked for more often than what it would replace. Its entries are about equal in size, so one
 * is weighed against one.
 */
import { LRUCache } from 'lru-cache';
import { Popularity } from '../../shared/popularity.ts';

/** A text's vector, never to be written to, and the tokens read of it. */
export interface KnownVector {
  vector: Float32Array;
  tokens: number;
}

/** The window's share of the bytes. */
const WINDOW = 0.02;
/** Bytes of an entry beside its vector and its text: objects and list links (measured in V8). */
const BOOKKEEPING = 300;
/** Look-ups between two halvings, as a multiple of the number of entries. */
const MEMORY = 16;

const costOf = ({ vector }: KnownVector, text: string) => vector.byteLength + 2 * text.length + BOOKKEEPING;

export class VectorCache {
  readonly #window: LRUCache<string, KnownVector>;
  readonly #main: LRUCache<string, KnownVector>;
  readonly #popularity: Popularity;

  constructor({ maxBytes, dimension }: { maxBytes: number; dimension: number }) {
    const entries = Math.max(64, maxBytes / (4 * dimension + BOOKKEEPING));
    this.#popularity = new Popularity({
      width: 2 ** Math.ceil(Math.log2(4 * entries)),
      halveEvery: Math.ceil(MEMORY * entries),
    });
    const windowBytes = Math.max(1, Math.floor(WINDOW * maxBytes));
    this.#window = new LRUCache({
      maxSize: windowBytes,
      sizeCalculation: costOf,
      dispose: (known, text, reason) => reason === 'evict' && this.#admit(text, known),
    });
    this.#main = new LRUCache({ maxSize: Math.max(1, maxBytes - windowBytes), sizeCalculation: costOf });
  }

  get size(): { entries: number; bytes: number } {
    return {
      entries: this.#window.size + this.#main.size,
      bytes: this.#window.calculatedSize + this.#main.calculatedSize,
    };
  }

  /** Counts the text as asked for. */
  get(text: string): KnownVector | undefined {
    this.#popularity.record(text);
    return this.#main.get(text) ?? this.#window.get(text);
  }

  set(text: string, known: KnownVector): void {
    if (this.#main.has(text)) return;
    // A window that is too small for anything would keep everything out.
    if (costOf(known, text) > this.#window.maxSize) this.#admit(text, known);
    else this.#window.set(text, known);
  }

  clear(): void {
    // Not `clear()` of the window: what leaves it would be weighed for the main part.
    for (const text of [...this.#window.keys()]) this.#window.delete(text);
    this.#main.clear();
  }

  #admit(text: string, known: KnownVector): void {
    const size = costOf(known, text);
    const worth = this.#popularity.estimate(text);
    while (this.#main.calculatedSize + size > this.#main.maxSize) {
      const victim = this.#main.rkeys().next().value;
      if (victim === undefined || worth <= this.#popularity.estimate(victim)) return;
      this.#main.delete(victim);
    }
    this.#main.set(text, known);
  }
}
