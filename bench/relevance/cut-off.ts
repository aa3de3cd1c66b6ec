/**
 * Where to cut a query's candidates off: precision and recall of one threshold on each of several scores. The first is
 * the fixed threshold on the cosine, with which the others are compared. Every map is fitted on validation queries: the
 * bundle's own two by the recipe, the one that reads all of it here.
 */
import { adapted, type CosineAdapter } from '../../shared/cosine-adapter.ts';
import { type RelevanceMap, relevanceOf } from '../../shared/relevance.ts';
import { fitLogistic } from '../../training/evaluate/relevance.ts';
import type { AskedQuery, Pair } from './considered.ts';

type Feature = Exclude<keyof Pair, 'relevant'>;

const ALL = ['cosine', 'coverage', 'bestCoverage', 'bestCosine', 'meanCosine', 'words'] as const satisfies Feature[];
type ScoreName = 'fixed cosine' | 'cosine adapter' | 'served map' | 'served map and adapter';

/** The bundle's own maps; what they were fitted on is other pairs of the validation queries. */
export interface ServedMaps {
  calibration: RelevanceMap;
  cosineAdapter: CosineAdapter;
}

export interface CurvePoint {
  threshold: number;
  precision: number;
  /** Of the relevant ads that retrieval considered. */
  recall: number;
}

export interface Curve {
  score: ScoreName;
  /** Thinned for drawing, from the strictest threshold on. */
  points: CurvePoint[];
  /** Area under the curve. */
  averagePrecision: number;
  /** Greatest recall at a precision of at least 0.8. */
  recallAt80: number;
  /** Mean precision of the ten ads that score highest. */
  p10: number;
  weights: Record<string, number>;
}

const POINTS = 200;

function curveOf(
  scored: { score: number; relevant: boolean }[],
): Pick<Curve, 'points' | 'averagePrecision' | 'recallAt80'> {
  const ranked = [...scored].sort((a, b) => b.score - a.score);
  const total = ranked.filter(({ relevant }) => relevant).length;
  const points: CurvePoint[] = [];
  let [hits, area, recallAt80, lastRecall] = [0, 0, 0, 0];
  for (const [i, { score, relevant }] of ranked.entries()) {
    if (relevant) hits++;
    if (ranked[i + 1]?.score === score) continue; // a threshold takes all of a tie
    const [precision, recall] = [hits / (i + 1), total === 0 ? 0 : hits / total];
    area += precision * (recall - lastRecall);
    lastRecall = recall;
    if (precision >= 0.8) recallAt80 = recall;
    if (recall * POINTS >= points.length) points.push({ threshold: score, precision, recall });
  }
  return { points, averagePrecision: area, recallAt80 };
}

export function cutOffCurves(
  { validation, test }: { validation: readonly AskedQuery[]; test: readonly AskedQuery[] },
  { calibration, cosineAdapter }: ServedMaps,
): Curve[] {
  const learn = validation.flatMap(({ pairs }) => pairs);
  const judge = test.flatMap(({ pairs }) => pairs);
  const curve = (score: ScoreName, weights: Record<string, number>): Curve => {
    // The logistic of a sum has its order.
    const of = (pair: Pair) =>
      Object.entries(weights).reduce(
        (sum, [feature, weight]) => sum + weight * (feature === 'intercept' ? 1 : pair[feature as Feature]),
        0,
      );
    const first = (query: AskedQuery) => [...query.pairs].sort((a, b) => of(b) - of(a)).slice(0, 10);
    const hits = test.reduce((sum, query) => sum + first(query).filter(({ relevant }) => relevant).length, 0);
    const scored = judge.map((pair) => ({ score: of(pair), relevant: pair.relevant }));
    return { score, weights, p10: hits / 10 / test.length, ...curveOf(scored) };
  };
  return [
    curve('fixed cosine', { cosine: 1 }),
    curve('cosine adapter', { ...cosineAdapter }),
    curve('served map', { ...calibration }),
    curve(
      'served map and adapter',
      fitLogistic<Feature, Pair>(learn, ALL, ({ relevant }) => relevant),
    ),
  ];
}

export interface CutOffOutcome {
  precision: number;
  /** Of the relevant ads that retrieval considered. */
  recall: number;
}

function outcomeOf(queries: readonly AskedQuery[], keeps: (pair: Pair) => boolean): CutOffOutcome {
  let [kept, hits, relevant] = [0, 0, 0];
  for (const pair of queries.flatMap(({ pairs }) => pairs)) {
    const isKept = keeps(pair);
    if (isKept) kept++;
    if (pair.relevant) relevant++;
    if (isKept && pair.relevant) hits++;
  }
  return { precision: kept === 0 ? 1 : hits / kept, recall: relevant === 0 ? 1 : hits / relevant };
}

/** @param minRelevance As a plan has it. */
export const byRelevance = (
  queries: readonly AskedQuery[],
  { calibration, minRelevance }: Pick<ServedMaps, 'calibration'> & { minRelevance: number },
): CutOffOutcome => outcomeOf(queries, (pair) => relevanceOf(pair, calibration) >= minRelevance);

/** @param adapterCutOff As a plan has it. */
export const byAdapter = (
  queries: readonly AskedQuery[],
  { cosineAdapter, adapterCutOff }: Pick<ServedMaps, 'cosineAdapter'> & { adapterCutOff: number },
): CutOffOutcome => outcomeOf(queries, (pair) => adapted(pair.cosine, pair, cosineAdapter) >= adapterCutOff);

/** The highest cut-off of a grid with at least so much recall. */
export function highestCutOff(
  queries: readonly AskedQuery[],
  { cosineAdapter, recall }: Pick<ServedMaps, 'cosineAdapter'> & { recall: number },
): number {
  const grid = Array.from({ length: 99 }, (_, i) => (i + 1) / 100);
  return grid.findLast((adapterCutOff) => byAdapter(queries, { cosineAdapter, adapterCutOff }).recall >= recall) ?? 0;
}
