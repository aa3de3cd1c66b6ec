/** The rows of a generation, moved so that those which are near in its graphs lie near each other (index/graph-order.ts). */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { graphOrder, renumbered } from '../index/graph-order.ts';
import type { HnswGraph } from '../index/hnsw-graph.ts';
import { withTensorFile } from '../index/tensor-file.ts';
import { FILES, type GenerationAd } from './layout.ts';

/** A market's graph: node i is row `members[i]`. */
export interface MarketGraph {
  members: Uint32Array;
  graph: HnswGraph;
}

/** Rows in their new order, [count]: as the largest market's graph has them, then what only smaller ones have. */
export function rowOrder(count: number, graphs: Iterable<MarketGraph>): Int32Array {
  const order = new Int32Array(count);
  const placed = new Uint8Array(count);
  let next = 0;
  const place = (row: number) => {
    if (placed[row] === 1) return;
    placed[row] = 1;
    order[next++] = row;
  };
  for (const { members, graph } of [...graphs].sort((a, b) => b.members.length - a.members.length))
    for (const node of graphOrder(graph)) place(members[node]!);
  for (let row = 0; row < count; row++) place(row); // booked nowhere
  return order;
}

/** The market's graph once the rows have moved: its nodes in the order of their rows, as before. */
export function movedGraph({ members, graph }: MarketGraph, order: Int32Array): HnswGraph {
  const placeOf = new Int32Array(order.length);
  for (const [place, row] of order.entries()) placeOf[row] = place;
  const nodes = Int32Array.from(members, (_, node) => node);
  return renumbered(
    graph,
    nodes.sort((a, b) => placeOf[members[a]!]! - placeOf[members[b]!]!),
  );
}

/** Rows written at a time. */
const BLOCK = 500;

/** Writes the files of ads and vectors anew in that order, and answers the ads in it. */
export async function moveRows(dir: string, ads: readonly GenerationAd[], order: Int32Array): Promise<GenerationAd[]> {
  const moved = Array.from(order, (row) => ads[row]!);
  await replace(join(dir, FILES.ads), function* () {
    for (let from = 0; from < moved.length; from += BLOCK)
      yield moved.slice(from, from + BLOCK).reduce((text, ad) => `${text}${JSON.stringify(ad)}\n`, '');
  });
  const path = join(dir, FILES.vectors);
  const { head, data } = await withTensorFile(path, async ({ tensors, fill }) => {
    const { from, bytes } = tensors.get('vectors')!;
    const [head, data] = [new Uint8Array(from), new Uint8Array(bytes)];
    await fill(head, 0);
    await fill(data, from);
    return { head, data };
  });
  const bytes = data.byteLength / Math.max(1, order.length);
  await replace(path, function* () {
    yield head; // it says the same of as many rows
    for (let from = 0; from < order.length; from += BLOCK) {
      const rows = order.subarray(from, from + BLOCK);
      const block = new Uint8Array(rows.length * bytes);
      for (const [i, row] of rows.entries()) block.set(data.subarray(row * bytes, (row + 1) * bytes), i * bytes);
      yield block;
    }
  });
  return moved;
}

async function replace(path: string, pieces: () => Iterable<string | Uint8Array>): Promise<void> {
  await writeFile(`${path}.next`, pieces());
  await rename(`${path}.next`, path);
}
