/**
 * The ads that came since the generation was built: searched exactly as long as they are few, by a graph of their own as they
 * become many. A vector joins the graph one `put` later than it could be found, so nothing waits for the graph.
 */
import { byScore, type Hit } from './ann-index.ts';
import { scan } from './exact.ts';
import { growingUsearch } from './usearch.ts';
import type { VectorRows } from './vector-rows.ts';

/** So many are scored exactly with each query; costs about a search of the graph. */
const SCANNED = 256;

export class DeltaIndex {
  readonly #vectors = new Map<number, VectorRows>();
  readonly #graph: ReturnType<typeof growingUsearch>;
  readonly #rows: VectorRows;
  /** Slots that are not in the graph yet, oldest first. */
  #recent: number[] = [];

  constructor(dimension: number) {
    const vectors = this.#vectors;
    const cosine = (slot: number, query: Float32Array) => vectors.get(slot)?.cosine(0, query) ?? -1;
    this.#rows = {
      get count() {
        return vectors.size;
      },
      dimension,
      cosine,
      cosines: (slots, query) => Float64Array.from(slots, (slot) => cosine(slot, query)),
      unit: (slot) => vectors.get(slot)!.unit(0),
    };
    this.#graph = growingUsearch(this.#rows);
  }

  get(slot: number): VectorRows | undefined {
    return this.#vectors.get(slot);
  }

  /** Adds the vector of a slot that had none; a slot is never used twice. Found by the next search. */
  put(slot: number, vector: VectorRows): void {
    this.#vectors.set(slot, vector);
    this.#recent.push(slot);
    if (this.#recent.length <= SCANNED) return;
    const oldest = this.#recent.shift()!;
    if (this.#vectors.has(oldest)) this.#graph.add(oldest);
  }

  /** Takes a slot out; the graph keeps its place, so `accept` must refuse it. */
  remove(slot: number): void {
    this.#vectors.delete(slot);
  }

  /** The `k` best slots that `accept` lets through, best first, ties by slot. */
  search(query: Float32Array, k: number, accept: (slot: number) => boolean): Hit[] {
    const here = (slot: number) => this.#vectors.has(slot) && accept(slot);
    const recent = scan(this.#rows, query, { k, members: this.#recent, accept: here });
    const older = this.#graph.search(query, k, here);
    return [...recent, ...older].sort(byScore).slice(0, k);
  }
}
