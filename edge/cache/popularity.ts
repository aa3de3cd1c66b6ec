/**
 * How often something was asked for lately, in fixed memory and without knowing anything beyond this isolate: a count-min
 * sketch of small counters that are halved now and then (the frequency sketch of TinyLFU, Einziger et al., ACM TOS 2017).
 */
import { hash32 } from '../../shared/experiment.ts';

const ROWS = 4;
const MAX_COUNT = 255;

export class Popularity {
  readonly #counts: Uint8Array;
  readonly #width: number;
  readonly #halveEvery: number;
  #recorded = 0;

  /** `width`: counters a row, a power of two. All counts are halved after every `halveEvery` recordings. */
  constructor(options: { width: number; halveEvery: number }) {
    this.#width = options.width;
    this.#halveEvery = options.halveEvery;
    this.#counts = new Uint8Array(ROWS * options.width);
  }

  /** Counts one more. */
  record(name: string): void {
    for (const at of this.#cells(name)) this.#counts[at] = Math.min(MAX_COUNT, this.#counts[at]! + 1);
    this.#recorded += 1;
    if (this.#recorded % this.#halveEvery === 0) {
      for (let i = 0; i < this.#counts.length; i++) this.#counts[i]! >>= 1;
    }
  }

  /** At least how often it was recorded since the last halving or two, and seldom more. */
  estimate(name: string): number {
    return Math.min(...this.#cells(name).map((at) => this.#counts[at]!));
  }

  /** One cell a row, by double hashing. */
  #cells(name: string): number[] {
    const hash = hash32(name);
    const step = hash32(`+${name}`) | 1;
    return Array.from({ length: ROWS }, (_, row) => row * this.#width + ((hash + row * step) & (this.#width - 1)));
  }
}
