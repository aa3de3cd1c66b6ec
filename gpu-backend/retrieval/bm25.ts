/**
 * BM25+ (Lv and Zhai, 2011) over the fields of ads, each with its own statistics. What a field's length does to a count is looked
 * up: an ad's score is then a few additions and one division a field, and lists are long.
 */
import { termWeight } from '../../shared/coverage.ts';
import { countIn, FIELDS } from './lexical-terms.ts';

/** Saturation of repeated terms, weight of the field's length, and the least that a match is worth. */
const [K1, B, DELTA] = [1.2, 0.7, 0.5];

/** Lengths of the fields of an ad, as they lie in an array of several. */
export interface FieldLengths {
  lengths: ArrayLike<number>;
  /** Where the ad's begin. */
  base: number;
}

export class Bm25 {
  readonly #lengthSums = new Float64Array(FIELDS.length);
  #ads = 0;
  #longest = 0;
  /** By length and field; made anew by the next {@link dampings} once an ad came or went. */
  #dampings: Float64Array | undefined;

  /** Ads that are counted. */
  get ads(): number {
    return this.#ads;
  }

  /** An ad that came, or with -1 one that went. */
  count({ lengths, base }: FieldLengths, sign: 1 | -1): void {
    this.#ads += sign;
    this.#dampings = undefined;
    for (let f = 0; f < FIELDS.length; f++) {
      const length = lengths[base + f]!;
      this.#lengthSums[f]! += sign * length;
      if (length > this.#longest) this.#longest = length;
    }
  }

  /** What a match in each field is worth before saturation, from the ads that have the term there. */
  worth(fieldAds: (f: number) => number): number[] {
    return FIELDS.map(({ boost }, f) => boost * termWeight(this.#ads, fieldAds(f)));
  }

  /** What {@link bm25Score} weighs counts against, by length and field, as of now. */
  dampings(): Float64Array {
    if (this.#dampings !== undefined) return this.#dampings;
    const dampings = new Float64Array((this.#longest + 1) * FIELDS.length);
    for (let at = 0; at < dampings.length; at++) {
      const f = at % FIELDS.length;
      const length = (((at - f) / FIELDS.length) * this.#ads) / this.#lengthSums[f]!;
      dampings[at] = K1 * (1 - B + B * length);
    }
    this.#dampings = dampings;
    return dampings;
  }
}

/** Score of one ad and term over the fields: 0 where the packed counts are. */
export function bm25Score(
  packed: number,
  { lengths, base, worth, dampings }: FieldLengths & { worth: readonly number[]; dampings: Float64Array },
): number {
  let score = 0;
  for (let f = 0; f < FIELDS.length; f++) {
    const count = countIn(packed, FIELDS[f]!);
    if (count === 0) continue;
    const damping = dampings[lengths[base + f]! * FIELDS.length + f]!;
    score += worth[f]! * (DELTA + (count * (K1 + 1)) / (count + damping));
  }
  return score;
}
