/**
 * Links to nodes that few lead to. Rows near the middle of many that are much alike are nearest neighbours of most of
 * them (hubs; Radovanović et al., JMLR 2010), and HNSW's choice leaves those around a hub little but a link to it,
 * while the hub's own list is full. Among a million ads some are linked from nowhere, so that no search finds them, and
 * many more from hardly anywhere, so that a search needs a longer list of candidates, while lists of links have room.
 */
import { graphOrder } from './graph-order.ts';
import type { HnswGraph } from './hnsw-graph.ts';
import type { VectorRows } from './vector-rows.ts';

/** Links that lead to a node, at least, where there is room: with 16 a million ads are found a little less well, with 24 no better. */
export const LINKS_IN = 20;

/** Nodes that are looked at a step: some ten milliseconds. */
const STEP = 256;

/**
 * Gives each node at level 0 as many links as {@link LINKS_IN} says, from the nearest of its neighbours and theirs whose lists
 * have room; nothing is taken out. Changes `graph` step by step, and yields so that others get a turn in between.
 */
export function* linkMore(
  graph: HnswGraph,
  { rows, members }: { rows: VectorRows; members: ArrayLike<number> },
): Generator<void, void> {
  const { size, links, degree } = graph;
  const width = 1 + degree;
  const linksIn = new Int32Array(size);
  for (let at = 0; at < links.length; at += width)
    for (let j = at + 1; j <= at + links[at]!; j++) linksIn[links[j]!]!++;

  const around = degree + degree * degree;
  const [near, asked, scores] = [new Int32Array(around), new Int32Array(around), new Float64Array(around)];
  let count = 0;
  /** The node for which another was last put among `near`. */
  const metFor = new Int32Array(size).fill(-1);
  const meet = (node: number, list: number) => {
    for (let j = list + 1; j <= list + links[list]!; j++) {
      const other = links[j]!;
      if (metFor[other] === node) continue;
      metFor[other] = node;
      near[count] = other;
      asked[count++] = members[other]!;
    }
  };
  const linksTo = (list: number, node: number) => {
    for (let j = list + 1; j <= list + links[list]!; j++) if (links[j] === node) return true;
    return false;
  };

  // In an order in which most of what is around a node was read for the last one.
  const order = graphOrder(graph);
  for (let turn = 0; turn < size; turn++) {
    if (turn % STEP === 0) yield;
    const node = order[turn]!;
    if (linksIn[node]! >= LINKS_IN) continue;
    metFor[node] = node;
    count = 0;
    meet(node, node * width);
    for (let i = 0, direct = count; i < direct; i++) meet(node, near[i]! * width);
    rows.scorer(rows.unit(members[node]!))(asked, count, scores);
    while (count > 0 && linksIn[node]! < LINKS_IN) {
      let best = 0;
      for (let i = 1; i < count; i++) if (scores[i]! > scores[best]!) best = i;
      const list = near[best]! * width;
      near[best] = near[--count]!;
      scores[best] = scores[count]!;
      if (links[list]! === degree || linksTo(list, node)) continue;
      links[list + ++links[list]!] = node;
      linksIn[node]!++;
    }
  }
}
