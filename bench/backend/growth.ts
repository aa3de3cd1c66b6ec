/**
 * What a search costs as the catalogue grows, 10,000 to a million ads: recall and latency with the list of candidates
 * that the gate would choose (by other queries than those measured), and whether latency grows faster than the
 * logarithm of the number of ads. Draws bench/results/backend-growth.svg.
 */
import { writeFileSync } from 'node:fs';
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { tuneIndex } from '../../gpu-backend/generations/gate.ts';
import { scan } from '../../gpu-backend/index/exact.ts';
import { hnswIndex } from '../../gpu-backend/index/hnsw.ts';
import { bounded, type Row } from '../row.ts';
import { benchVectors, K, recallAt } from './ad-vectors.ts';
import { everyRow, movedIndex } from './index.ts';

export interface Size {
  ads: number;
  /** Length of the list of candidates. */
  list: number;
  recall: number;
  /** Of the {@link DEEP} nearest. */
  deepRecall: number;
  p50Ms: number;
  p99Ms: number;
}

/** Least squares of `y` over log10 of the number of ads. */
function logFit(sizes: readonly Pick<Size, 'ads'>[], y: readonly number[]): { at(ads: number): number; slope: number } {
  const x = sizes.map(({ ads }) => Math.log10(ads));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  const spread = x.reduce((sum, value) => sum + (value - mx) ** 2, 0);
  const slope = x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0) / spread;
  return { slope, at: (ads) => my + slope * (Math.log10(ads) - mx) };
}

/** So many ads retrieval asks the index for, at least. */
const DEEP = 100;

/** Queries of the gate; the others are measured. */
const TUNED = 200;

interface Measured extends Pick<Size, 'ads' | 'list' | 'recall' | 'deepRecall'> {
  /** Milliseconds of searches so far. */
  times: number[];
  /** Searches for each query; answers how long each took. */
  ask(): number[];
}

/** An index over so many ads, with the list of candidates that the gate chooses. */
async function openSize(ads: number, { of, say }: { of: number; say: (line: string) => void }): Promise<Measured> {
  const vectors = await benchVectors(ads, { of, say });
  const { rows, graph, order } = await movedIndex(vectors, say);
  const members = everyRow(rows);
  const index = hnswIndex(graph, { rows, members });
  await tuneIndex(index, { rows, members, queries: vectors.queries.slice(0, TUNED) });
  const queries = vectors.queries.slice(TUNED);
  const answers = queries.map((query) => index.search(query, K).map(({ row }) => order[row]!));
  const recall = recallAt(answers, vectors.truth.slice(TUNED));
  let found = 0;
  for (const query of queries) {
    const nearest = new Set(scan(rows, query, { k: DEEP }).map(({ row }) => row));
    found += index.search(query, DEEP).filter(({ row }) => nearest.has(row)).length;
  }
  const deepRecall = found / (DEEP * queries.length);
  say(
    `${ads} ads: recall ${recall.toFixed(4)} at candidate lists of ${index.expansionSearch}, ${deepRecall.toFixed(4)} of ${DEEP}`,
  );
  return {
    ads,
    recall,
    deepRecall,
    list: index.expansionSearch,
    times: [],
    ask: () =>
      queries.map((query) => {
        const began = performance.now();
        index.search(query, K);
        return performance.now() - began;
      }),
  };
}

export async function growthRows(options: {
  most: number;
  turns: number;
  /** Where the drawing goes; nowhere when absent. */
  svg?: string;
  say: (line: string) => void;
}): Promise<Row[]> {
  const { most, turns, svg, say } = options;
  const measured: Measured[] = [];
  for (const ads of [10_000, 100_000, 1_000_000].filter((size) => size <= most))
    measured.push(await openSize(ads, { of: most, say }));
  // In turn, so that a machine that is busy meets all of them.
  for (let turn = 1; turn <= turns; turn++) {
    for (const { times, ask } of measured) {
      ask(); // brings back what the others have driven out of the processor's caches
      times.push(...ask());
    }
    say(`turn ${turn} of ${turns}`);
  }
  const sizes = measured.map(({ ads, list, recall, deepRecall, times }): Size => {
    times.sort((a, b) => a - b);
    const at = (share: number) => times[Math.floor(share * times.length)]!;
    return { ads, list, recall, deepRecall, p50Ms: at(0.5), p99Ms: at(0.99) };
  });
  const rows: Row[] = sizes.flatMap(({ ads, list, recall, deepRecall, p50Ms, p99Ms }) => [
    { metric: `${ads} ads: search, p50`, value: p50Ms, unit: 'ms' },
    { metric: `${ads} ads: search, p99`, value: p99Ms, unit: 'ms' },
    { metric: `${ads} ads: candidate list`, value: list, unit: 'rows' },
    { metric: `${ads} ads: recall@${K}`, value: recall, unit: 'share' },
    { metric: `${ads} ads: recall@${DEEP}`, value: deepRecall, unit: 'share' },
  ]);
  if (sizes.length === 3) {
    // Straight in log N: the last tenfold adds no more than the first one did; where that added nothing, anything is too much.
    const [first, second, third] = sizes.map(({ p50Ms }) => p50Ms) as [number, number, number];
    rows.push(
      bounded(
        'p50: what the second tenfold adds / what the first one adds',
        (third - second) / Math.max(second - first, Number.MIN_VALUE),
        'ratio',
        ['<=', 1],
      ),
    );
  }
  if (sizes.length > 1) {
    const fit = logFit(
      sizes,
      sizes.map(({ p50Ms }) => p50Ms),
    );
    const exponent = logFit(
      sizes,
      sizes.map(({ p50Ms }) => Math.log10(p50Ms)),
    ).slope;
    rows.push({ metric: 'p50: added by each tenfold, fitted', value: fit.slope, unit: 'ms' });
    rows.push({ metric: 'p50: exponent of the number of ads, fitted', value: exponent, unit: '' });
    if (svg !== undefined) writeFileSync(svg, drawn(sizes, fit.at));
  }
  return rows;
}

const STYLE =
  'svg { --page: #fff; --ink: #1a1d21; --p50: #1f6fd6; --p99: #b4570b; color: var(--ink); background: var(--page); font-family: system-ui, sans-serif }' +
  '@media (prefers-color-scheme: dark) { svg { --page: #101317; --ink: #e8eaed; --p50: #6cabff; --p99: #f0a35e } }';

/** Latency over the number of ads, and the line in log N. */
function drawn(sizes: readonly Size[], line: (ads: number) => number): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const points = sizes.flatMap(({ ads, p50Ms, p99Ms }) => [
    { ads, ms: p50Ms, colour: 'var(--p50)', name: 'p50' },
    { ads, ms: p99Ms, colour: 'var(--p99)', name: 'p99' },
  ]);
  const plot = Plot.plot({
    document: document as never,
    width: 640,
    height: 320,
    marginLeft: 56,
    marginRight: 48,
    x: { type: 'log', label: 'ads', tickFormat: (ads: number) => ads.toLocaleString('en-US'), ticks: 3 },
    y: { label: 'ms a search', grid: true, zero: true },
    color: { type: 'identity' },
    marks: [
      Plot.line(
        sizes.map(({ ads }) => ({ ads, ms: line(ads) })),
        { x: 'ads', y: 'ms', strokeDasharray: '4 4', strokeOpacity: 0.6 },
      ),
      Plot.line(points, { x: 'ads', y: 'ms', stroke: 'colour', z: 'name' }),
      Plot.dot(points, { x: 'ads', y: 'ms', fill: 'colour' }),
      Plot.text(
        points.filter(({ ads }) => ads === sizes.at(-1)!.ads),
        { x: 'ads', y: 'ms', text: 'name', fill: 'colour', dx: 8, textAnchor: 'start' },
      ),
    ],
  }) as unknown as { setAttribute(name: string, value: string): void; outerHTML: string };
  plot.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return `${plot.outerHTML.replace('</svg>', `<style>${STYLE}</style></svg>`)}\n`;
}
