import { expect, it } from 'vitest';
import { graphOrder, renumbered } from '../../../gpu-backend/index/graph-order.ts';
import { hnswIndex } from '../../../gpu-backend/index/hnsw.ts';
import type { HnswGraph } from '../../../gpu-backend/index/hnsw-graph.ts';
import { buildGraph } from '../../../gpu-backend/index/usearch.ts';
import { float32Rows } from '../../../gpu-backend/index/vector-rows.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

const at = testFolder('graph-order');
const DIMENSION = 32;
const { rows: matrix, queries } = clusteredVectors({
  ...{ count: 2_000, dimension: DIMENSION, clusters: 50, queries: 50, seed: 3 },
});

function graphOver(vectors: Float32Array): HnswGraph {
  const rows = float32Rows(vectors, DIMENSION);
  const members = Uint32Array.from({ length: rows.count }, (_, row) => row);
  const steps = buildGraph(rows, members, { scratch: at('scratch.usearch') });
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}
const move = (order: Int32Array) =>
  Float32Array.from([...order].flatMap((row) => [...matrix.subarray(row * DIMENSION, (row + 1) * DIMENSION)]));
/** Share of the links between nodes that lie within ten places of each other. */
function near({ size, links, degree }: HnswGraph): number {
  let [sum, count] = [0, 0];
  for (let node = 0; node < size; node++) {
    const list = node * (1 + degree);
    for (let j = 1; j <= links[list]!; j++, count++) sum += Math.abs(node - links[list + j]!) <= 10 ? 1 : 0;
  }
  return sum / count;
}

it.each([0, 1, 2, 40, 2_000])('is an order of all %i nodes, in which the graph answers as before', (count) => {
  const vectors = matrix.subarray(0, count * DIMENSION);
  const graph = graphOver(vectors);
  const order = graphOrder(graph);
  expect(order.toSorted()).toEqual(Int32Array.from({ length: count }, (_, node) => node));
  const there = Uint32Array.from({ length: count }, (_, row) => row);
  const before = hnswIndex(graph, { rows: float32Rows(vectors, DIMENSION), members: there });
  const after = hnswIndex(renumbered(graph, order), { rows: float32Rows(move(order), DIMENSION), members: there });
  for (const query of queries)
    expect(after.search(query, 10).map(({ row, score }) => ({ row: order[row], score }))).toEqual(
      before.search(query, 10),
    );
});

it('brings what is linked together: clusters that came in turn', () => {
  const graph = graphOver(matrix);
  expect(near(renumbered(graph, graphOrder(graph)))).toBeGreaterThan(5 * near(graph));
});

it('begins with the nodes where searches begin, the highest levels first', () => {
  const graph = graphOver(matrix);
  const { above, upper, upperDegree, entry } = renumbered(graph, graphOrder(graph));
  const lists = upper.length / (1 + upperDegree);
  const high = above.filter((at) => at >= 0);
  expect([...above.subarray(0, high.length)]).toEqual([...high]);
  // Their lists lie in the same order, so how many a node has is told by where the next one's begin.
  const levels = [...high].map((at, place) => (high[place + 1] ?? lists) - at);
  expect(levels[entry]).toBe(graph.top);
  expect(levels).toEqual(levels.toSorted((a, b) => b - a));
  expect(levels.length).toBeGreaterThan(50);
});

it('has place for nodes that no link leads to', () => {
  const graph: HnswGraph = {
    ...{ size: 4, entry: 2, top: 0, degree: 2, upperDegree: 1 },
    links: Int32Array.of(1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0),
    above: new Int32Array(4).fill(-1),
    upper: new Int32Array(0),
  };
  expect([...graphOrder(graph)]).toEqual([2, 0, 1, 3]);
});
