/**
 * What a posting says of its ad: how often each field has the term, and how long those fields are. Millions of postings
 * have some thousand such shapes, so a list keeps the number of each one's shape: it is scored from beginning to end
 * without reading the ads' lengths, which are scattered over memory.
 */
import { countIn, FIELDS } from './lexical-terms.ts';

export class PostingShapes {
  /** By packed counts, then by lengths. */
  readonly #numbers = new Map<number, Map<number, number>>();
  #counts = new Uint16Array(64);
  #lengths = new Uint16Array(64 * FIELDS.length);
  #size = 0;
  #longest = 0;

  /** Of arrays as {@link counts} and {@link lengths} are. */
  static from(counts: Uint16Array, lengths: Uint16Array): PostingShapes {
    const shapes = new PostingShapes();
    for (const [at, packed] of counts.entries())
      shapes.of(packed, lengths.subarray(at * FIELDS.length, (at + 1) * FIELDS.length));
    return shapes;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }
  /** Packed counts, by shape. */
  get counts(): Uint16Array {
    return this.#counts.subarray(0, this.#size);
  }
  /** Lengths of the fields that have the term, by shape and field; 0 for the other fields. */
  get lengths(): Uint16Array {
    return this.#lengths.subarray(0, this.#size * FIELDS.length);
  }
  /** The greatest length of any. */
  get longest(): number {
    return this.#longest;
  }

  /** The number of a shape, for ever: packed counts (lexical-terms.ts) and lengths by field. */
  of(packed: number, lengths: ArrayLike<number>): number {
    let key = 0;
    for (let f = 0; f < FIELDS.length; f++) key = key * 65_536 + lengthIn(packed, lengths, f);
    let byLengths = this.#numbers.get(packed);
    if (byLengths === undefined) {
      byLengths = new Map();
      this.#numbers.set(packed, byLengths);
    }
    const known = byLengths.get(key);
    if (known !== undefined) return known;
    if (this.#size === this.#counts.length) this.#grow();
    const shape = this.#size++;
    byLengths.set(key, shape);
    this.#counts[shape] = packed;
    for (let f = 0; f < FIELDS.length; f++) {
      const length = lengthIn(packed, lengths, f);
      this.#lengths[shape * FIELDS.length + f] = length;
      this.#longest = Math.max(this.#longest, length);
    }
    return shape;
  }

  #grow(): void {
    const [counts, lengths] = [new Uint16Array(2 * this.#counts.length), new Uint16Array(2 * this.#lengths.length)];
    counts.set(this.#counts);
    lengths.set(this.#lengths);
    [this.#counts, this.#lengths] = [counts, lengths];
  }
}

/** Length of a field as far as a posting's score goes by it. */
const lengthIn = (packed: number, lengths: ArrayLike<number>, f: number): number =>
  countIn(packed, FIELDS[f]!) === 0 ? 0 : Math.min(65_535, lengths[f]!);
