/** The ads that came since the generation was built, in a graph of their own: found from the moment that `put` returns. */
import { byScore, type Hit } from './ann-index.ts';
import { growingIndex } from './growing-graph.ts';
import { type SimdRows, simdRows } from './simd-rows.ts';
import { sixteenBits } from './vector-rows.ts';

/** What has gone keeps its row: a row is never used twice. */
const GONE = -1;

export class DeltaIndex {
  readonly #rows: SimdRows;
  readonly #graph: ReturnType<typeof growingIndex>;
  /** Slot of each row. */
  readonly #slots: number[] = [];
  readonly #rowOf = new Map<number, number>();

  constructor(dimension: number) {
    this.#rows = simdRows(new Int16Array(0), dimension);
    this.#graph = growingIndex(this.#rows);
  }

  /** The slot's vector at unit length. */
  unit(slot: number): Float32Array | undefined {
    const row = this.#rowOf.get(slot);
    return row === undefined ? undefined : this.#rows.unit(row);
  }

  cosine(slot: number, query: Float32Array): number | undefined {
    const row = this.#rowOf.get(slot);
    return row === undefined ? undefined : this.#rows.cosine(row, query);
  }

  /** Adds the vector of a slot that had none, of any length; a slot is never used twice. */
  put(slot: number, vector: ArrayLike<number>): void {
    const row = this.#rows.append(sixteenBits(vector));
    this.#slots[row] = slot;
    this.#rowOf.set(slot, row);
    this.#graph.add(row);
  }

  /** Takes a slot out; what is asked for next does without it. */
  remove(slot: number): void {
    const row = this.#rowOf.get(slot);
    if (row === undefined) return;
    this.#slots[row] = GONE;
    this.#rowOf.delete(slot);
  }

  /** The `k` best slots that `accept` lets through, best first, ties by slot. */
  search(query: Float32Array, k: number, accept: (slot: number) => boolean): Hit[] {
    return this.#graph
      .search(query, k, (row) => this.#slots[row] !== GONE && accept(this.#slots[row]!))
      .map(({ row, score }) => ({ row: this.#slots[row]!, score }))
      .sort(byScore);
  }
}
