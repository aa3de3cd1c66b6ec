/**
 * Batches of rows of similar length, so that little of a batch is padding, in an order that depends on nothing but the
 * seed. Rows are shuffled, sorted by length within windows of some batches, cut, and the batches shuffled; what does
 * not fill a batch is left out.
 */
import { shuffle } from './seeded.ts';

export interface BatchOptions {
  readonly batch: number;
  /** Batches a window: more gives less padding, fewer more mixing. */
  readonly window: number;
  readonly random: () => number;
}

/** How many batches `lengthBatches` makes of this many rows. */
export const batchCount = (rows: number, batch: number): number => Math.floor(rows / batch);

/** Row numbers, [batches][batch]. @param lengths Tokens of each row. */
export function lengthBatches(lengths: readonly number[], { batch, window, random }: BatchOptions): number[][] {
  const order = shuffle([...lengths.keys()], random);
  const rows = order.slice(0, batchCount(lengths.length, batch) * batch);
  const batches: number[][] = [];
  for (let start = 0; start < rows.length; start += batch * window) {
    const group = rows.slice(start, start + batch * window).sort((a, b) => lengths[a]! - lengths[b]!);
    for (let at = 0; at < group.length; at += batch) batches.push(group.slice(at, at + batch));
  }
  return shuffle(batches, random);
}
