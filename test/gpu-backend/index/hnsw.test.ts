import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { scan } from '../../../gpu-backend/index/exact.ts';
import { LINKS_IN } from '../../../gpu-backend/index/graph-links.ts';
import { hnswIndex, type Propose, proposedIndex } from '../../../gpu-backend/index/hnsw.ts';
import { graphImage, type HnswGraph, readGraph, readUsearchLinks } from '../../../gpu-backend/index/hnsw-graph.ts';
import { openSimdRows, simdRows } from '../../../gpu-backend/index/simd-rows.ts';
import { buildGraph, type HnswOptions } from '../../../gpu-backend/index/usearch.ts';
import { float32Rows, sixteenBits, type VectorRows } from '../../../gpu-backend/index/vector-rows.ts';
import { annIndexConformance } from '../../conformance/ann-index.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { gaussians } from '../../fixtures/random.ts';
import { clusteredVectors, unit } from '../../fixtures/vectors.ts';

const at = testFolder('hnsw');
const everyRow = (rows: VectorRows) => Uint32Array.from({ length: rows.count }, (_, row) => row);

function graphOver(
  rows: VectorRows,
  members: Uint32Array,
  options: Partial<HnswOptions> & { threads?: number } = {},
): HnswGraph {
  const steps = buildGraph(rows, members, { ...options, scratch: at('scratch.usearch') });
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}
const build = (rows: VectorRows, members = everyRow(rows)) => hnswIndex(graphOver(rows, members), { rows, members });

function sixteenBitRows(matrix: Float32Array, dimension: number) {
  const data = new Int16Array(matrix.length);
  for (let from = 0; from < matrix.length; from += dimension)
    data.set(sixteenBits(matrix.subarray(from, from + dimension)), from);
  return simdRows(data, dimension);
}

annIndexConformance({ name: 'hnsw', build, minRecall: 0.98 });

it('is the same graph for few rows, however many threads build it', () => {
  const { rows: matrix } = clusteredVectors({ count: 300, dimension: 32, clusters: 20, queries: 1, seed: 5 });
  const rows = float32Rows(matrix, 32);
  const alone = graphOver(rows, everyRow(rows));
  for (let turn = 0; turn < 5; turn++) expect(graphOver(rows, everyRow(rows), { threads: 8 })).toEqual(alone);
});

describe('a graph over rows of 16 bits', () => {
  const DIMENSION = 384;
  const { rows: matrix, queries } = clusteredVectors({
    count: 2000,
    dimension: DIMENSION,
    clusters: 100,
    queries: 200,
    seed: 11,
  });
  const full = float32Rows(matrix, DIMENSION);
  const stored = sixteenBitRows(matrix, DIMENSION);
  const members = everyRow(full);
  const truth = queries.map((query) => new Set(scan(full, query, { k: 10 }).map(({ row }) => row)));
  const recall = (answers: readonly { row: number }[][]) =>
    answers.reduce((sum, hits, i) => sum + hits.filter(({ row }) => truth[i]!.has(row)).length, 0) /
    (10 * queries.length);
  const graph = graphOver(full, members);
  const search = (rows: VectorRows) => {
    const index = hnswIndex(graph, { rows, members });
    return queries.map((query) => index.search(query, 10));
  };

  it('finds within half a point of what float32 finds by the same graph, and by one that was built from float32', () => {
    const found = recall(search(stored));
    const exactly = hnswIndex(graphOver(full, members, { quantization: 'f32' }), { rows: full, members });
    expect(found).toBeGreaterThan(0.95);
    expect(found).toBeGreaterThan(recall(search(full)) - 0.005);
    expect(found).toBeGreaterThan(recall(queries.map((query) => exactly.search(query, 10))) - 0.005);
  });

  it('loses no neighbour by the 16 bits alone', () => {
    expect(recall(queries.map((query) => scan(stored, query, { k: 10 })))).toBeGreaterThan(0.999);
  });

  it('answers another thread, over the same memory, as it answers here', () => {
    expect(search(openSimdRows(stored.share()))).toEqual(search(stored));
  });

  it('has the same nodes however many threads add them', () => {
    const two = hnswIndex(graphOver(full, members, { threads: 2 }), { rows: stored, members });
    expect(recall(queries.map((query) => two.search(query, 10)))).toBeGreaterThan(0.95);
  });

  it('forgets what a search has seen', () => {
    const used = hnswIndex(graph, { rows: stored, members });
    for (const query of queries) {
      used.search(query, 500);
      expect(used.search(query, 10)).toEqual(hnswIndex(graph, { rows: stored, members }).search(query, 10));
    }
  });

  it('has room for more candidates than the search before', () => {
    const used = hnswIndex(graph, { rows: stored, members });
    used.search(queries[0]!, 10);
    expect(used.search(queries[1]!, 500)).toEqual(hnswIndex(graph, { rows: stored, members }).search(queries[1]!, 500));
  });

  it('is refused over other rows than it was built over', () => {
    const fewer = members.subarray(1);
    expect(() => hnswIndex(graph, { rows: stored, members: fewer })).toThrow(
      new RangeError('expected a graph of 1999 rows, got 2000'),
    );
  });

  it('fills k from 0.01 to 100 % of the rows', () => {
    const { rows: many } = clusteredVectors({ count: 10_000, dimension: 16, clusters: 300, queries: 1, seed: 12 });
    const wide = build(float32Rows(many, 16));
    for (const share of [0.0001, 0.001, 0.01, 0.1, 1]) {
      const eligible = 10_000 * share;
      const accept = (row: number) => (row * 7919) % 10_000 < eligible;
      const hits = wide.search(unit(many.slice(0, 16)), 10, accept);
      expect(hits).toHaveLength(Math.min(10, eligible));
      expect(hits.every(({ row }) => accept(row))).toBe(true);
    }
  });
});

describe('an index of what is proposed', () => {
  const normal = gaussians(8);
  const rows = float32Rows(Float32Array.from({ length: 100_000 }, normal), 2);
  const members = everyRow(rows);
  const query = unit(Float32Array.of(normal(), normal()));
  /** What a search asked for, and whether it answers as a scan does. */
  function asking(propose: Propose = (asked, count) => scan(rows, asked, { k: count })) {
    const counts: number[] = [];
    const index = proposedIndex(
      (asked, count) => {
        counts.push(count);
        return propose(asked, count);
      },
      { rows, members },
    );
    const search = (k: number, accept?: (row: number) => boolean) => {
      expect(index.search(query, k, accept)).toEqual(scan(rows, query, { k, accept }));
      return counts.splice(0);
    };
    return { index, search };
  }

  it('asks for as many as its list holds, and for more than it is asked for', () => {
    const { index, search } = asking();
    expect([10, 60, 100].map((k) => search(k))).toEqual([[64], [76], [125]]);
    index.expansionSearch = 300;
    expect([10, 400].map((k) => search(k))).toEqual([[300], [500]]);
    expect(search(60_000)).toEqual([50_000]);
  });

  it('asks for more by what the filter let through, and scans what few are left', () => {
    const { search } = asking();
    const [first, second] = search(100, (row) => row % 2 === 0) as [number, number];
    expect([first, second >= 250]).toEqual([125, true]);
    expect(second).toBeLessThan(500);
    expect(search(10, (row) => row % 1_000 === 0)).toEqual([64]);
  });

  it('scans at once where the graph reaches no more', () => {
    const { search } = asking((asked) => scan(rows, asked, { k: 3 }));
    expect([search(10), search(10, () => true)]).toEqual([[64], [64]]);
  });
});

it('comes down into more regions than the one that is nearest from above', () => {
  // Level 1: an entry, the gate of a region that is near, and a gate that is farther but whose region is nearest.
  const [near, nearest] = [
    [3, 4, 5, 6, 7, 8],
    [9, 10, 11],
  ];
  const cosines = [0, 0.9, 0.8, ...near.map((_, i) => 0.7 - i / 100), ...nearest.map((_, i) => 0.99 - i / 100)];
  const rows = float32Rows(Float32Array.from(cosines.flatMap((cosine) => [cosine, Math.sqrt(1 - cosine ** 2)])), 2);
  const table = (lists: number[][], degree: number) =>
    Int32Array.from(lists.flatMap((list) => [list.length, ...list, ...Array(degree - list.length).fill(0)]));
  const within = (region: number[], gate: number) => region.map((node) => [gate, ...region].filter((n) => n !== node));
  const graph: HnswGraph = {
    ...{ size: rows.count, entry: 0, top: 1, degree: 8, upperDegree: 4 },
    links: table([[1], near, nearest, ...within(near, 1), ...within(nearest, 2)], 8),
    above: Int32Array.from(cosines, (_, node) => (node < 3 ? node : -1)),
    upper: table([[1, 2], [0], [0]], 4),
  };
  const index = hnswIndex(graph, { rows, members: everyRow(rows), expansionSearch: 9 });
  expect(index.search(Float32Array.of(1, 0), 4).map(({ row }) => row)).toEqual([9, 10, 11, 1]);
});

describe('the file of a graph', () => {
  const { rows: matrix, queries } = clusteredVectors({ count: 900, dimension: 32, clusters: 60, queries: 20, seed: 9 });
  const rows = float32Rows(matrix, 32);
  const members = Uint32Array.from({ length: 450 }, (_, i) => 2 * i);
  const steps = [...buildGraph(rows, members, { scratch: at('whole.usearch') })];
  const path = at('whole.hnsw');
  writeFileSync(path, graphImage(graphOver(rows, members)));

  it('holds what was built, and what usearch wrote is gone', async () => {
    const read = await readGraph(path, { size: 450 });
    expect(read).toEqual(graphOver(rows, members));
    expect(existsSync(at('whole.usearch'))).toBe(false);
    const index = hnswIndex(read, { rows, members });
    const truth = queries.map((query) => scan(rows, query, { k: 1, members })[0]!.row);
    expect(queries.map((query) => index.search(query, 1)[0]!.row)).toEqual(truth);
  });

  it('is refused over another number of rows', async () => {
    await expect(readGraph(path, { size: 2 })).rejects.toThrow(
      `${path}: expected a graph of 2 rows, got 450; build the generation again.`,
    );
  });

  it('leads to every row by as many links as a search wants', () => {
    const { links, degree } = graphOver(rows, members);
    const into = new Int32Array(450);
    for (let at = 0; at < links.length; at += 1 + degree)
      for (const node of links.subarray(at + 1, at + 1 + links[at]!)) into[node]!++;
    expect(Math.min(...into)).toBeGreaterThanOrEqual(LINKS_IN);
  });

  it('reports each step of the build', () => {
    expect(steps.at(-1)).toBe(450);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  });

  it('is not made of a file of another program, or of half a file', () => {
    writeFileSync(at('other'), new Uint8Array(200));
    expect(() => readUsearchLinks(at('other'))).toThrow('other: expected a graph of usearch 2, got another head.');
    writeFileSync(at('short'), new Uint8Array(40));
    expect(() => readUsearchLinks(at('short'))).toThrow(
      /short: expected 64 more bytes, got 32: usearch saves in another form/,
    );
  });
});
