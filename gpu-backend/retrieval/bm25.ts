/**
 * BM25+ (Lv and Zhai, 2011) over the fields of ads, each with its own statistics. What a field's length does to a count
 * is looked up, because lists are long: a posting's score is then a few additions and one division per field.
 */
import { termWeight } from '../../shared/coverage.ts';
import { countIn, FIELDS } from './lexical-terms.ts';
import type { PostingShapes } from './posting-shapes.ts';

/** Saturation of repeated terms, weight of the field's length, and the least that a match is worth. */
const [K1, B, DELTA] = [1.2, 0.7, 0.5];

export class Bm25 {
  readonly #shapes: PostingShapes;
  readonly #lengthSums: number[];
  #ads: number;
  /** What counts are weighed against, by length and field; recomputed once an ad came or went. */
  #dampings: Float64Array | undefined;

  /** Over so many ads, whose fields are so long together. */
  constructor({ shapes, ads, lengthSums }: { shapes: PostingShapes; ads: number; lengthSums: readonly number[] }) {
    this.#shapes = shapes;
    this.#ads = ads;
    this.#lengthSums = [...lengthSums];
  }

  /** Ads that are counted. */
  get ads(): number {
    return this.#ads;
  }

  /** An ad that came, by the lengths of its fields, or with -1 one that went. */
  count(lengths: readonly number[], sign: 1 | -1): void {
    this.#ads += sign;
    this.#dampings = undefined;
    for (let f = 0; f < FIELDS.length; f++) this.#lengthSums[f]! += sign * lengths[f]!;
  }

  /** The scores of a term, as of now, from the ads that have it in each field. */
  scores(fieldAds: (f: number) => number): TermScores {
    const worth = FIELDS.map(({ boost }, f) => boost * termWeight(this.#ads, fieldAds(f)));
    return new TermScores({ shapes: this.#shapes, dampings: this.#damped(), worth });
  }

  #damped(): Float64Array {
    if (this.#dampings !== undefined) return this.#dampings;
    const dampings = new Float64Array((this.#shapes.longest + 1) * FIELDS.length);
    for (let at = 0; at < dampings.length; at++) {
      const f = at % FIELDS.length;
      const length = (((at - f) / FIELDS.length) * this.#ads) / this.#lengthSums[f]!;
      dampings[at] = K1 * (1 - B + B * length);
    }
    this.#dampings = dampings;
    return dampings;
  }
}

/** Scores of the first so many shapes, which are the most common, are computed once per query. */
const KEPT = 4096;

/** Bounds are raised by this much, so that no rounding puts the scores that they bound above them. */
const ABOVE_ROUNDING = 1 + 1e-9;

/** The scores of a term by the shapes of its postings. */
export class TermScores {
  readonly #counts: Uint16Array;
  readonly #lengths: Uint16Array;
  readonly #dampings: Float64Array;
  /** What a match in each field is worth before saturation. */
  readonly #worth: readonly number[];
  /** By shape; 0 before it was asked for. */
  readonly #kept: Float64Array;

  constructor(options: { shapes: PostingShapes; dampings: Float64Array; worth: readonly number[] }) {
    this.#counts = options.shapes.counts;
    this.#lengths = options.shapes.lengths;
    this.#dampings = options.dampings;
    this.#worth = options.worth;
    this.#kept = new Float64Array(Math.min(KEPT, options.shapes.size));
  }

  /** Of a posting of the shape; above 0. */
  of(shape: number): number {
    if (shape >= this.#kept.length) return this.#score(shape);
    let score = this.#kept[shape]!;
    if (score === 0) {
      score = this.#score(shape);
      this.#kept[shape] = score;
    }
    return score;
  }

  #score(shape: number): number {
    const packed = this.#counts[shape]!;
    let score = 0;
    for (let f = 0; f < FIELDS.length; f++) {
      const count = countIn(packed, FIELDS[f]!);
      if (count !== 0) score += this.#inField(f, count, this.#lengths[shape * FIELDS.length + f]!);
    }
    return score;
  }

  /** No posting scores more whose counts are not above and whose lengths are not below these, by field; a count of 0 is for none. */
  most(peaks: ArrayLike<number>, base: number): number {
    let bound = 0;
    for (let f = 0; f < FIELDS.length; f++) {
      const [count, length] = [peaks[base + 2 * f]!, peaks[base + 2 * f + 1]!];
      if (count !== 0) bound += this.#inField(f, count, length);
    }
    return bound * ABOVE_ROUNDING;
  }

  #inField(f: number, count: number, length: number): number {
    const damping = this.#dampings[length * FIELDS.length + f]!;
    return this.#worth[f]! * (DELTA + (count * (K1 + 1)) / (count + damping));
  }
}
