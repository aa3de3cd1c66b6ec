/** Exact search over the published ad vectors: the oracle that quality is measured with, free of any index's approximation. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Graph } from '../graph/graph.ts';
import { emitModel } from '../onnx/emit.ts';

/** A row that was found. */
export interface Hit {
  readonly row: number;
  /** Cosine. */
  readonly score: number;
}

/** int8 rows scaled to length 1, float32 [n, dim]. */
export function unitRows(vectors: Int8Array, dimension: number): Float32Array<ArrayBuffer> {
  const rows = new Float32Array(vectors.length);
  for (let start = 0; start < vectors.length; start += dimension) {
    let square = 0;
    for (let i = start; i < start + dimension; i++) square += vectors[i]! ** 2;
    const scale = square === 0 ? 0 : 1 / Math.sqrt(square);
    for (let i = start; i < start + dimension; i++) rows[i] = vectors[i]! * scale;
  }
  return rows;
}

/** The k best of the allowed rows, best first; equal scores by row number. */
export function topRows(scores: Float32Array, k: number, allowed: (row: number) => boolean): Hit[] {
  const best: Hit[] = [];
  for (let row = 0; row < scores.length; row++) {
    const score = scores[row]!;
    if ((best.length === k && score <= best[k - 1]!.score) || !allowed(row)) continue;
    let at = best.length === k ? k - 1 : best.length;
    for (; at > 0 && best[at - 1]!.score < score; at--) best[at] = best[at - 1]!;
    best[at] = { row, score };
  }
  return best;
}

/** Rows held by a session of the numeric runtime. */
export interface ExactSearch {
  /** @param queries float32 [n, dim], rows of length 1. @param allowed Which rows query `i` may get. */
  search(
    queries: Float32Array,
    options: { k: number; allowed: (query: number, row: number) => boolean },
  ): Promise<Hit[][]>;
  close(): Promise<void>;
}

const QUERIES_A_RUN = 64;

/** Opens a search. @param rows float32 [n, dim], rows of length 1. */
export async function openSearch(rows: Float32Array, dimension: number): Promise<ExactSearch> {
  const count = rows.length / dimension;
  const graph = new Graph();
  const queries = graph.input('queries', 'float32', ['batch', dimension]);
  graph.output('scores', graph.matmul(queries, graph.parameter('rows', [count, dimension]), { transB: true }));
  const initializers = new Map([['rows', { dtype: 'float32' as const, shape: [count, dimension], data: rows }]]);
  const session = await InferenceSession.create(emitModel(graph, { name: 'search', initializers }), {
    logSeverityLevel: 3,
  });
  return {
    async search(vectors, { k, allowed }) {
      const hits: Hit[][] = [];
      const total = vectors.length / dimension;
      for (let start = 0; start < total; start += QUERIES_A_RUN) {
        const batch = vectors.slice(start * dimension, (start + QUERIES_A_RUN) * dimension);
        const size = batch.length / dimension;
        const { scores } = await session.run({ queries: new Tensor('float32', batch, [size, dimension]) });
        const values = scores!.data as Float32Array;
        for (let i = 0; i < size; i++) {
          const query = start + i;
          hits.push(topRows(values.subarray(i * count, (i + 1) * count), k, (row) => allowed(query, row)));
        }
      }
      return hits;
    },
    close: () => session.release(),
  };
}
