/**
 * From a text to its row, in 13 to 19 bytes per text, whatever its length: open addressing (Knuth, The Art of Computer
 * Programming, 6.4) over the first 64 bits of each text's SHA-256. Among 50 million texts two share these with a
 * probability of 7 in 100,000.
 */
import { hash } from 'node:crypto';

/** Rows of texts, by digest. */
export class TextRows {
  /** Row + 1 by slot; 0 is free. */
  readonly #slots: Uint32Array;
  /** The two halves of each row's digest. */
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;

  /** @param rows How many there will be at most. */
  constructor(rows: number) {
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(1, rows) * 1.3)));
    this.#high = new Uint32Array(rows);
    this.#low = new Uint32Array(rows);
  }

  /** Notes where a text is; of a text that is there twice the first row counts. */
  add(text: string, row: number): void {
    const [high, low] = digest(text);
    const slot = this.#slotOf(high, low);
    if (this.#slots[slot] !== 0) return;
    this.#slots[slot] = row + 1;
    this.#high[row] = high;
    this.#low[row] = low;
  }

  /** The row of a text, or undefined where it was not added. */
  get(text: string): number | undefined {
    const entry = this.#slots[this.#slotOf(...digest(text))]!;
    return entry === 0 ? undefined : entry - 1;
  }

  /** Where these bits are, or would be put. */
  #slotOf(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    let slot = low & mask;
    for (let entry = this.#slots[slot]!; entry !== 0; entry = this.#slots[slot]!) {
      if (this.#high[entry - 1] === high && this.#low[entry - 1] === low) return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  }
}

function digest(text: string): [high: number, low: number] {
  const bytes = hash('sha256', text, 'buffer');
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}
