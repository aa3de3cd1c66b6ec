/**
 * An order in which nodes that are read together lie together. A search of a million rows waits for memory, and above
 * all for pages whose addresses the processor does not have at hand. Every search begins in the upper levels: their
 * nodes share pages with nobody else, which stay at hand. Below, neighbours share pages and are waited for together.
 * The graph knows who is near, so that finding the order costs next to nothing.
 */
import type { HnswGraph } from './hnsw-graph.ts';

/** The highest level of each node, [size]. */
function levels({ size, above, upper, upperDegree }: HnswGraph): Int32Array {
  const nodeAt = new Int32Array(upper.length / (1 + upperDegree)).fill(-1);
  for (let node = 0; node < size; node++) if (above[node]! >= 0) nodeAt[above[node]!] = node;
  const highest = new Int32Array(size);
  let node = -1;
  for (const begun of nodeAt) {
    if (begun >= 0) node = begun;
    highest[node]!++;
  }
  return highest;
}

/**
 * Nodes in that order, [size]: those above level 0, the highest first, along the links of level 1; then, around each of them in
 * the same order, those that it reaches first.
 */
export function graphOrder(graph: HnswGraph): Int32Array {
  const { size, entry, links, degree, above, upper, upperDegree } = graph;
  const [width, upperWidth] = [1 + degree, 1 + upperDegree];
  const centreOf = new Int32Array(size).fill(-1);
  const reached = new Int32Array(size);
  let count = 0;
  const reach = (node: number, centre: number) => {
    centreOf[node] = centre;
    reached[count++] = node;
  };
  const spread = (from: number) => {
    for (let i = from; i < count; i++) {
      const at = reached[i]! * width;
      for (let j = at + 1; j <= at + links[at]!; j++)
        if (centreOf[links[j]!] === -1) reach(links[j]!, centreOf[reached[i]!]!);
    }
  };
  for (let node = 0; node < size; node++) if (above[node]! >= 0 || node === entry) reach(node, node);
  const centres = count;
  spread(0);
  for (let node = 0; node < size; node++) {
    if (centreOf[node] !== -1) continue;
    reach(node, node); // no link leads here
    spread(count - 1);
  }

  const rankOf = new Int32Array(size).fill(-1);
  let ranks = 0;
  const rankFrom = (start: number) => {
    const waiting = [start];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (rankOf[node] !== -1) continue;
      rankOf[node] = ranks++;
      if (above[node]! < 0) continue;
      const at = above[node]! * upperWidth;
      for (let j = at + upper[at]!; j > at; j--) if (rankOf[upper[j]!] === -1) waiting.push(upper[j]!);
    }
  };
  if (size > 0) rankFrom(entry);
  for (let i = 0; i < centres; i++) rankFrom(reached[i]!);
  for (let i = centres; i < count; i++) if (centreOf[reached[i]!] === reached[i]) rankFrom(reached[i]!);

  // By level above 0, then by rank of the centre, then as they were reached.
  const highest = levels(graph);
  const groups = graph.top + 1;
  const groupOf = (node: number) => (graph.top - highest[node]!) * ranks + rankOf[centreOf[node]!]!;
  const ends = new Int32Array(groups * ranks + 1);
  for (let node = 0; node < size; node++) ends[groupOf(node) + 1]!++;
  for (let group = 1; group < ends.length; group++) ends[group]! += ends[group - 1]!;
  const order = new Int32Array(size);
  for (const node of reached) order[ends[groupOf(node)]!++] = node;
  return order;
}

/** The same graph with node `order[i]` in place i. */
export function renumbered(graph: HnswGraph, order: Int32Array): HnswGraph {
  const { size, links, degree, above, upper, upperDegree } = graph;
  const placeOf = new Int32Array(size);
  for (const [place, node] of order.entries()) placeOf[node] = place;
  const shared = (like: Int32Array) => new Int32Array(new SharedArrayBuffer(like.byteLength));
  const moved = { links: shared(links), above: shared(above).fill(-1), upper: shared(upper) };
  const copyList = (from: Int32Array, at: number, { into, to }: { into: Int32Array; to: number }) => {
    into[to] = from[at]!;
    for (let j = 1; j <= from[at]!; j++) into[to + j] = placeOf[from[at + j]!]!;
  };
  const upperWidth = 1 + upperDegree;
  const highest = levels(graph);
  let lists = 0;
  for (const [place, node] of order.entries()) {
    copyList(links, node * (1 + degree), { into: moved.links, to: place * (1 + degree) });
    if (highest[node] === 0) continue;
    moved.above[place] = lists;
    for (let at = above[node]!; at < above[node]! + highest[node]!; at++)
      copyList(upper, at * upperWidth, { into: moved.upper, to: lists++ * upperWidth });
  }
  return { ...graph, ...moved, entry: placeOf[graph.entry] ?? 0 };
}
