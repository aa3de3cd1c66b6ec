/**
 * Where to cut a query's candidates off: precision and recall of one threshold on each of several scores. The first is the fixed
 * threshold on the cosine that the others are held against; a map that reads the query beside the cosine is what "Relevance
 * Filtering for Embedding-based Retrieval" (Rossi et al., 2024) calls a cosine adapter. All are fitted on validation queries.
 */
import type { RelevanceMap } from '../../shared/relevance.ts';
import { fitLogistic } from '../../training/evaluate/relevance.ts';
import type { AskedQuery, Pair } from './considered.ts';

type Feature = Exclude<keyof Pair, 'relevant'>;

const FEATURES = {
  /** Of the query nothing but its ads' cosines: what an adapter can know without words. */
  'cosine adapter': ['cosine', 'bestCosine', 'meanCosine', 'words'],
  /** As shared/relevance.ts has it. */
  'served map': ['cosine', 'coverage', 'bestCoverage'],
  'served map and adapter': ['cosine', 'coverage', 'bestCoverage', 'bestCosine', 'meanCosine', 'words'],
} as const satisfies Record<string, readonly Feature[]>;
const SCORES = ['fixed cosine', ...(Object.keys(FEATURES) as (keyof typeof FEATURES)[])] as const;
type ScoreName = (typeof SCORES)[number];

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

/** @param served The bundle's own map; what it was fitted on is other pairs of the same queries. */
export function cutOffCurves(
  { validation, test }: { validation: readonly AskedQuery[]; test: readonly AskedQuery[] },
  served: RelevanceMap,
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
    ...Object.entries(FEATURES).map(([name, features]) =>
      curve(
        name as ScoreName,
        name === 'served map' ? { ...served } : fitLogistic<Feature, Pair>(learn, features, ({ relevant }) => relevant),
      ),
    ),
  ];
}
