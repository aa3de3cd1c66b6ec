/**
 * How often something was asked for lately, in fixed memory and without knowing anything beyond this process: a count-min
 * sketch of small counters that are halved now and then (the frequency sketch of TinyLFU, Einziger et al., ACM TOS 2017),
 * raised conservatively (Estan and Varghese, SIGCOMM 2002): only where a counter is not known to be too high already.
 */
import { hash32 } from './experiment.ts';

const ROWS = 4;
const MAX_COUNT = 255;

export class Popularity {
  readonly #counts: Uint8Array;
  readonly #width: number;
  readonly #halveEvery: number;
  #recorded = 0;

  /** `width`: counters per row, a power of two. All counts are halved after every `halveEvery` recordings. */
  constructor(options: { width: number; halveEvery: number }) {
    this.#width = options.width;
    this.#halveEvery = options.halveEvery;
    this.#counts = new Uint8Array(ROWS * options.width);
  }

  /** Counts one more. */
  record(name: string): void {
    const hash = hash32(name);
    const step = stepOf(hash);
    const least = this.#least(hash, step);
    if (least < MAX_COUNT) {
      for (let row = 0; row < ROWS; row++) {
        const at = this.#cell(row, hash, step);
        if (this.#counts[at] === least) this.#counts[at] = least + 1;
      }
    }
    this.#recorded += 1;
    if (this.#recorded % this.#halveEvery === 0) {
      for (let i = 0; i < this.#counts.length; i++) this.#counts[i]! >>= 1;
    }
  }

  /** At least how often it was recorded since the last halving or two, and seldom more. */
  estimate(name: string): number {
    const hash = hash32(name);
    return this.#least(hash, stepOf(hash));
  }

  #least(hash: number, step: number): number {
    let least = MAX_COUNT;
    for (let row = 0; row < ROWS; row++) least = Math.min(least, this.#counts[this.#cell(row, hash, step)]!);
    return least;
  }

  /** One cell a row, by double hashing. */
  #cell(row: number, hash: number, step: number): number {
    return row * this.#width + ((hash + row * step) & (this.#width - 1));
  }
}

/** A second hash of the first: odd, so that the rows differ. */
function stepOf(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (mixed ^ (mixed >>> 12)) | 1;
}
