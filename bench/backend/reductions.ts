/**
 * Fewer dimensions in the graph, all of them in the scores: the first ones alone (Matryoshka), principal components of the ads,
 * and of ads and queries together, as LeanVec's eigenvector search has it (Tepper et al., 2023, arXiv 2312.16335). The
 * projections are learnt from half of the queries and measured on the others. Time is the processor's, of one thread.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { hnswIndex } from '../../gpu-backend/index/hnsw.ts';
import { buildGraph } from '../../gpu-backend/index/usearch.ts';
import { fitProjection } from '../../training/teacher/projection.ts';
import type { Row } from '../row.ts';
import { benchVectors, K, recallAt } from './ad-vectors.ts';
import { everyRow, sixteenBitRows } from './index.ts';

/** Candidates of the graph that are scored in full. */
const EFFORT = 48;
const SAMPLE = 4000;

/** [rows, from] to [rows, to] by a row-major [from, to] matrix. */
function projected(vectors: Float32Array, map: Float32Array, { from, to }: { from: number; to: number }): Float32Array {
  const out = new Float32Array((vectors.length / from) * to);
  for (let row = 0; row * from < vectors.length; row++) {
    for (let i = 0; i < from; i++) {
      const value = vectors[row * from + i]!;
      for (let j = 0; j < to; j++) out[row * to + j]! += value * map[i * to + j]!;
    }
  }
  return out;
}

/** The map that keeps the first components. */
const firstOnly = (from: number, to: number) =>
  Float32Array.from({ length: from * to }, (_, i) => (Math.floor(i / to) === i % to ? 1 : 0));

export async function reductionRows({ ads: count, say }: { ads: number; say: (line: string) => void }): Promise<Row[]> {
  const { ads, queries, truth, dimension, dir } = await benchVectors(count, { say });
  const full = sixteenBitRows(ads, dimension);
  const half = queries.length >> 1;
  const [learnt, asked] = [queries.slice(0, half), queries.slice(half)];
  const ofAds = ads.subarray(0, SAMPLE * dimension);
  // As many queries as ads: the queries again and again.
  const both = new Float32Array(2 * ofAds.length);
  both.set(ofAds);
  for (let at = ofAds.length, i = 0; at < both.length; at += dimension, i++) both.set(learnt[i % half]!, at);

  const rows: Row[] = [];
  const measure = (name: string, map: Float32Array | undefined, to: number) => {
    const reduce = (vectors: Float32Array) =>
      map === undefined ? vectors : projected(vectors, map, { from: dimension, to });
    const rows16 = map === undefined ? full : sixteenBitRows(reduce(ads), to);
    const members = everyRow(rows16);
    const scratch = join(dir, 'reduced.usearch');
    const builder = buildGraph(rows16, members, { scratch, threads: availableParallelism() });
    let step = builder.next();
    while (!step.done) step = builder.next();
    const index = hnswIndex(step.value, { rows: rows16, members, expansionSearch: EFFORT });
    // The time leaves out what reducing a query costs: in JavaScript as much as is saved, in the student's graph next to nothing.
    const reducedQueries = asked.map(reduce);
    let [best, answers]: [number, number[][]] = [Number.POSITIVE_INFINITY, []];
    for (let turn = 0; turn < 4; turn++) {
      const began = process.cpuUsage();
      answers = reducedQueries.map((query, i) => {
        const proposed = index.search(query, map === undefined ? K : EFFORT).map(({ row }) => row);
        if (map === undefined) return proposed;
        const scores = new Float64Array(proposed.length);
        full.scorer(asked[i]!)(proposed, proposed.length, scores);
        const order = [...proposed.keys()].sort((a, b) => scores[b]! - scores[a]!);
        return order.slice(0, K).map((at) => proposed[at]!);
      });
      const { user, system } = process.cpuUsage(began);
      best = Math.min(best, (user + system) / asked.length);
    }
    const recall = recallAt(answers, truth.slice(half));
    say(`${name}: recall ${recall.toFixed(4)}, ${best.toFixed(1)} us`);
    rows.push({ metric: `${count} ads, graph in ${name}: recall@${K}`, value: recall, unit: 'share' });
    rows.push({ metric: `${count} ads, graph in ${name}: processor time a query`, value: best, unit: 'us' });
  };
  measure(`all ${dimension} dimensions`, undefined, dimension);
  for (const to of [dimension / 2, dimension / 3]) {
    measure(`the first ${to}`, firstOnly(dimension, to), to);
    const ownOnly = await fitProjection(ofAds, { from: dimension, to });
    measure(`${to} components of the ads`, ownOnly.map.document as Float32Array, to);
    const together = await fitProjection(both, { from: dimension, to });
    measure(`${to} components of ads and queries`, together.map.document as Float32Array, to);
  }
  return rows;
}
