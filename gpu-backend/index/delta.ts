/**
 * The ads that came since the generation was built: searched exactly as long as they are few, by a graph of their own as they
 * become many. A vector joins the graph some `put`s later than it could be found, so nothing waits for the graph.
 */
import { byScore, type Hit } from './ann-index.ts';
import { scan } from './exact.ts';
import { type SimdRows, simdRows } from './simd-rows.ts';
import { growingIndex } from './usearch.ts';
import { sixteenBits } from './vector-rows.ts';

/** So many are scored exactly with each query; costs less than a search of the graph. */
const SCANNED = 256;

/** What has gone keeps its row: a row is never used twice. */
const GONE = -1;

export class DeltaIndex {
  readonly #rows: SimdRows;
  readonly #graph: ReturnType<typeof growingIndex>;
  /** Slot of each row. */
  readonly #slots: number[] = [];
  readonly #rowOf = new Map<number, number>();
  /** Rows that are not in the graph yet, oldest first. */
  #recent: number[] = [];

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

  /** Adds the vector of a slot that had none, of any length; a slot is never used twice. Found by the next search. */
  put(slot: number, vector: ArrayLike<number>): void {
    const row = this.#rows.append(sixteenBits(vector));
    this.#slots[row] = slot;
    this.#rowOf.set(slot, row);
    this.#recent.push(row);
    if (this.#recent.length <= SCANNED) return;
    const oldest = this.#recent.shift()!;
    if (this.#slots[oldest] !== GONE) this.#graph.add(oldest);
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
    const here = (row: number) => this.#slots[row] !== GONE && accept(this.#slots[row]!);
    const recent = scan(this.#rows, query, { k, members: this.#recent, accept: here });
    const older = this.#graph.search(query, k, here);
    return [...recent, ...older]
      .map(({ row, score }) => ({ row: this.#slots[row]!, score }))
      .sort(byScore)
      .slice(0, k);
  }
}
