/**
 * A graph that rows join one by one, in the order of their numbers: the lowest level of HNSW (Malkov and Yashunin,
 * 2018, algorithms 1 and 4), walked like every other graph. Levels above it are left out: with many dimensions they
 * save next to nothing (Munyampirwa et al., 2024, arXiv 2412.01940), and a search that begins at the best of a few
 * landmarks needs none.
 */
import { byScore, type Hit, type LocalIndex } from './ann-index.ts';
import { scan } from './exact.ts';
import { proposedIndex, walker } from './hnsw.ts';
import type { SimdRows } from './simd-rows.ts';

/** Links that a row begins with, those it has at most, and the candidates that they are chosen from. */
const [LINKS, DEGREE, EXPANSION_ADD] = [16, 32, 128];
const WIDTH = 1 + DEGREE;

/**
 * Length of the list of candidates over so many rows, by rule, because nobody measures a graph that grows: finds 98 %
 * of the true ten among 20,000.
 */
const expansionSearch = (rows: number) => Math.max(24, Math.ceil(Math.sqrt(rows) / 6));

/** So many rows are scored exactly with each query: no dearer than a walk. */
const SCANNED = 256;

/** Evenly chosen rows, of which the nearest one is where a walk begins. */
const LANDMARKS = 32;

/** Rows that there is room for at first; twice as many each time they are too few. */
const ROOM = 1024;

/** An index over the rows that were added, from 0 on and none left out; each `add` holds the thread for two or three searches. */
export function growingIndex(rows: SimdRows): LocalIndex & { add(row: number): void } {
  const members: number[] = [];
  const none = new Int32Array(0);
  const graph = {
    size: 0,
    entry: 0,
    top: 0,
    above: none,
    upper: none,
    upperDegree: 0,
    links: none,
    degree: DEGREE,
  };
  let walk = walker(graph, { rows });
  const [landmarks, landmarkScores] = [new Int32Array(LANDMARKS), new Float64Array(LANDMARKS)];
  const [list, scores] = [new Int32Array(EXPANSION_ADD), new Float64Array(EXPANSION_ADD)];

  const grow = () => {
    graph.size = Math.max(ROOM, 2 * graph.size);
    const links = new Int32Array(graph.size * WIDTH);
    links.set(graph.links);
    graph.links = links;
    walk = walker(graph, { rows });
  };

  const propose = (query: Float32Array, count: number) => {
    const seen = Math.min(members.length, LANDMARKS);
    for (let i = 0; i < seen; i++) landmarks[i] = Math.floor((i * members.length) / seen);
    rows.scorer(query)(landmarks, seen, landmarkScores);
    const nearest = Array.from({ length: seen }, (_, i) => i).sort((a, b) => landmarkScores[b]! - landmarkScores[a]!);
    let hits: Hit[] = [];
    // Usually one walk. Too few hits mean an island, to which no link leads back from the others.
    for (const i of nearest) {
      graph.entry = landmarks[i]!;
      const found = walk(query, count);
      if (hits.length === 0) hits = found;
      else {
        const known = new Set(hits.map(({ row }) => row));
        hits = [...hits, ...found.filter(({ row }) => !known.has(row))].sort(byScore).slice(0, count);
      }
      if (hits.length >= Math.min(count, members.length)) break;
    }
    return hits;
  };

  /** Links `row` to the best of `near`, best first, each nearer to it than to those that it is linked to already. */
  const link = (row: number, near: readonly { row: number; score: number }[], most: number) => {
    const at = row * WIDTH;
    let kept = 0;
    let left = near;
    while (left.length > 0 && kept < most) {
      const [{ row: nearest }, ...others] = left as [(typeof near)[number], ...typeof near];
      graph.links[at + ++kept] = nearest;
      for (const [i, other] of others.entries()) list[i] = other.row;
      rows.scorerOf(nearest)(list, others.length, scores);
      left = others.filter(({ score }, i) => scores[i]! <= score);
    }
    graph.links[at] = kept;
  };

  /** The way back; who has links enough chooses among them anew. */
  const linkBack = (from: number, to: number) => {
    const at = from * WIDTH;
    const count = graph.links[at]!;
    if (count < DEGREE) {
      graph.links[at + 1 + count] = to;
      graph.links[at] = count + 1;
      return;
    }
    const others = [...graph.links.subarray(at + 1, at + WIDTH), to];
    rows.scorerOf(from)(others, others.length, scores);
    const near = others.map((row, i) => ({ row, score: scores[i]! }));
    link(
      from,
      near.sort((a, b) => b.score - a.score),
      DEGREE,
    );
  };

  const index = proposedIndex(
    (query, count) => (members.length <= SCANNED ? scan(rows, query, { k: count, members }) : propose(query, count)),
    { rows, members },
  );
  return Object.assign(index, {
    add(row: number) {
      if (row !== members.length) throw new RangeError(`expected row ${members.length}, got ${row}`);
      if (row === graph.size) grow();
      if (row > 0) {
        const near = propose(rows.unit(row), EXPANSION_ADD);
        link(row, near, LINKS);
        for (let i = 1; i <= graph.links[row * WIDTH]!; i++) linkBack(graph.links[row * WIDTH + i]!, row);
      }
      members.push(row);
      index.expansionSearch = expansionSearch(members.length);
    },
  });
}
