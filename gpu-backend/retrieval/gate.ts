/**
 * Whether a query is worth its vector: where words and keywords found plenty of ads that have all of the query, vectors
 * seldom find more, and encoding is most of a query's cost. A logistic map of what was found gives the probability that
 * the ensemble's first ten are better than those of words alone; a plan asks for vectors from some probability on.
 */
import { logistic } from '../../shared/relevance.ts';

/** What words and keywords found, as far as the gate looks. */
export interface GateEvidence {
  /** Greatest coverage of any ad, 0 to 1. */
  bestCoverage: number;
  /** Ads that have all of the query, counted to ten, as a share of ten. */
  whole: number;
  /** Distinct terms of the query, as a share of eight and no more than 1. */
  words: number;
}

export const GATE_FEATURES = ['bestCoverage', 'whole', 'words'] as const satisfies (keyof GateEvidence)[];
export type GateMap = Record<keyof GateEvidence | 'intercept', number>;

/** Coverage from which an ad counts as having all of a query; a description's word counts less than a title's. */
const WHOLE = 0.95;

/** Fitted on validation queries of the market that ships, by `npm run bench -- relevance`: `gate.fitted` in the details of its result. */
export const GATE: GateMap = { bestCoverage: -2.47, whole: -0.69, words: -0.37, intercept: 1.39 };

/** @param coverages Those of the ads that words and keywords found; `terms` is how many distinct terms the query has. */
export function gateEvidence(coverages: Iterable<number>, terms: number): GateEvidence {
  let [bestCoverage, whole] = [0, 0];
  for (const coverage of coverages) {
    bestCoverage = Math.max(bestCoverage, coverage);
    if (coverage >= WHOLE) whole++;
  }
  return { bestCoverage, whole: Math.min(10, whole) / 10, words: Math.min(1, terms / 8) };
}

/** Probability that vectors make the first ten better. */
export function gateProbability(evidence: GateEvidence, map: GateMap = GATE): number {
  return logistic(GATE_FEATURES.reduce((sum, feature) => sum + map[feature] * evidence[feature], map.intercept));
}
