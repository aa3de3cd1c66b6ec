/**
 * An order in which nodes that are near each other lie near each other. A search of a million rows waits for memory, and above
 * all for pages that the processor has no address of; neighbours that share pages are waited for together. The graph knows who
 * is near, so that finding the order costs next to nothing.
 */
import type { HnswGraph } from './hnsw-graph.ts';

/** Nodes in that order, [size]: around each node of level 1 those that it reaches first, and these groups along the links of level 1. */
export function graphOrder({ size, entry, links, degree, above, upper, upperDegree }: HnswGraph): Int32Array {
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

  // By rank of the centre, then as they were reached.
  const ends = new Int32Array(ranks + 1);
  for (let node = 0; node < size; node++) ends[rankOf[centreOf[node]!]! + 1]!++;
  for (let rank = 0; rank < ranks; rank++) ends[rank + 1]! += ends[rank]!;
  const order = new Int32Array(size);
  for (const node of reached) order[ends[rankOf[centreOf[node]!]!]!++] = node;
  return order;
}

/** The same graph with node `order[i]` in place i. */
export function renumbered(graph: HnswGraph, order: Int32Array): HnswGraph {
  const { size, links, degree, above, upper, upperDegree } = graph;
  const placeOf = new Int32Array(size);
  for (const [place, node] of order.entries()) placeOf[node] = place;
  const shared = (like: Int32Array) => new Int32Array(new SharedArrayBuffer(like.byteLength));
  const moved = { links: shared(links), above: shared(above), upper: shared(upper) };
  const copyList = (from: Int32Array, at: number, { into, to }: { into: Int32Array; to: number }) => {
    into[to] = from[at]!;
    for (let j = 1; j <= from[at]!; j++) into[to + j] = placeOf[from[at + j]!]!;
  };
  for (let node = 0; node < size; node++) {
    copyList(links, node * (1 + degree), { into: moved.links, to: placeOf[node]! * (1 + degree) });
    moved.above[placeOf[node]!] = above[node]!;
  }
  for (let at = 0; at < upper.length; at += 1 + upperDegree) copyList(upper, at, { into: moved.upper, to: at });
  return { ...graph, ...moved, entry: placeOf[graph.entry] ?? 0 };
}
