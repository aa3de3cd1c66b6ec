import { expect, it } from 'vitest';
import { scan } from '../../../gpu-backend/index/exact.ts';
import { LINKS_IN, linkMore } from '../../../gpu-backend/index/graph-links.ts';
import { hnswIndex } from '../../../gpu-backend/index/hnsw.ts';
import type { HnswGraph } from '../../../gpu-backend/index/hnsw-graph.ts';
import { float32Rows, type VectorRows } from '../../../gpu-backend/index/vector-rows.ts';
import { gaussians, uniforms } from '../../fixtures/random.ts';
import { unit } from '../../fixtures/vectors.ts';

const DIMENSION = 16;
const DEGREE = 32;

/** Rows around a few centres, much alike within each. */
function alike(count: number, { centres, seed }: { centres: number; seed: number }): VectorRows {
  const normal = gaussians(seed);
  const middle = Array.from({ length: centres }, () => Float32Array.from({ length: DIMENSION }, normal));
  const matrix = new Float32Array(count * DIMENSION);
  for (let row = 0; row < count; row++)
    matrix.set(unit(middle[row % centres]!.map((value) => value + 0.3 * normal())), row * DIMENSION);
  return float32Rows(matrix, DIMENSION);
}

/** A graph of one level, from what each node is linked to. */
function graphOf(lists: readonly (readonly number[])[]): HnswGraph {
  const links = new Int32Array(lists.length * (1 + DEGREE));
  for (const [node, list] of lists.entries()) links.set([list.length, ...list], node * (1 + DEGREE));
  return {
    ...{ size: lists.length, entry: 0, top: 0, links, degree: DEGREE, upperDegree: 1 },
    ...{ above: new Int32Array(lists.length).fill(-1), upper: new Int32Array(0) },
  };
}
const listsOf = ({ size, links }: HnswGraph) =>
  Array.from({ length: size }, (_, node) => {
    const at = node * (1 + DEGREE);
    return [...links.subarray(at + 1, at + 1 + links[at]!)];
  });
const linksIn = (lists: readonly number[][]) => {
  const into = lists.map(() => 0);
  for (const list of lists) for (const node of list) into[node]!++;
  return into;
};
const everyRow = (rows: VectorRows) => Uint32Array.from({ length: rows.count }, (_, row) => row);
function linked(graph: HnswGraph, rows: VectorRows, members = everyRow(rows)): number[][] {
  for (const _ of linkMore(graph, { rows, members }));
  return listsOf(graph);
}

it('finds a row that nobody was linked to, beside a hub whose list is full', () => {
  const rows = alike(60, { centres: 1, seed: 1 });
  // Everybody is linked to the hub, node 0; the hub to the first that its list has room for.
  const star = () => graphOf([Array.from({ length: DEGREE }, (_, i) => 1 + i), ...Array(59).fill([0])]);
  const members = everyRow(rows);
  const found = (graph: HnswGraph) => {
    const index = hnswIndex(graph, { rows, members, expansionSearch: 60 });
    return index.search(rows.unit(59), 1)[0]!.row;
  };
  expect(found(star())).not.toBe(59);
  const graph = star();
  linked(graph, rows);
  expect(found(graph)).toBe(59);
});

it('keeps every link, adds none twice and none to itself, and brings all to the least number', () => {
  const [count, random] = [500, uniforms(7)];
  const rows = alike(count, { centres: 5, seed: 2 });
  // Two hundred nodes take all links, eight a node.
  const before = Array.from({ length: count }, (_, node) => [
    ...new Set(
      Array.from({ length: 8 }, () => (node + 1 + Math.floor(random() * 199)) % 200).filter((n) => n !== node),
    ),
  ]);
  const after = linked(graphOf(before), rows);
  for (const [node, list] of after.entries()) {
    expect(list.slice(0, before[node]!.length)).toEqual(before[node]);
    expect(new Set(list).size).toBe(list.length);
    expect(list).not.toContain(node);
    expect(list.length).toBeLessThanOrEqual(DEGREE);
  }
  expect(Math.min(...linksIn(before))).toBe(0);
  expect(Math.min(...linksIn(after))).toBeGreaterThanOrEqual(LINKS_IN);
});

it('takes the nearest of neighbours and theirs, those that have room', () => {
  const ring = 60;
  const rows = alike(ring + 1, { centres: 1, seed: 3 });
  // On the ring all have as many links as they need. Beside it is one that none is linked to, two links from 0 to 40; 1 is full.
  const lists = Array.from({ length: ring }, (_, node) =>
    Array.from({ length: node === 1 ? DEGREE : LINKS_IN }, (_, i) => (node + 1 + i) % ring),
  );
  const after = linked(graphOf([...lists, [0, LINKS_IN]]), rows);
  const room = Uint32Array.from({ length: 41 }, (_, node) => node).filter((node) => node !== 1);
  const nearest = scan(rows, rows.unit(ring), { k: LINKS_IN, members: room }).map(({ row }) => row);
  const from = after.flatMap((list, node) => (list.includes(ring) ? [node] : []));
  expect(from).toEqual(nearest.toSorted((a, b) => a - b));
  expect(after.flat()).toHaveLength(lists.flat().length + 2 + LINKS_IN);
});

it('goes by the rows of its members, whichever these are', () => {
  const [count, random] = [200, uniforms(9)];
  const rows = alike(2 * count, { centres: 3, seed: 4 });
  const members = everyRow(rows).filter((row) => row % 2 === 1);
  const own = float32Rows(Float32Array.from([...members].flatMap((row) => [...rows.unit(row)])), DIMENSION);
  const lists = Array.from({ length: count }, (_, node) =>
    Array.from({ length: 8 }, (_, i) => (node + 1 + 12 * i + Math.floor(12 * random())) % count),
  );
  expect(linked(graphOf(lists), rows, members)).toEqual(linked(graphOf(lists), own));
});
