/**
 * Ranking metrics, one value per query; they know nothing of where rankings come from. Source: Manning et al., 2008,
 * chapter 8.
 */

/** Grades of 2 and 3 count as relevant. */
export const RELEVANT = 2;

/** Grade of each judged document of one query; what is not judged has grade 0. */
export type Judgements = ReadonlyMap<string, number>;

/** Names of the metrics, in the order in which tables show them. */
export const METRICS = ['p10', 'p100', 'ndcg10', 'mrr', 'recall100'] as const;
export type Metric = (typeof METRICS)[number];

/** As tables and cards show them. */
export const METRIC_NAMES: Readonly<Record<Metric, string>> = {
  p10: 'P@10',
  p100: 'P@100',
  ndcg10: 'nDCG@10',
  mrr: 'MRR',
  recall100: 'recall@100',
};

/** One value a metric, of one query or averaged over many. */
export type Scores = Readonly<Record<Metric, number>>;

/** Share of relevant documents among the first k. */
export function precisionAt(k: number, ranking: readonly string[], judgements: Judgements): number {
  let hits = 0;
  for (const id of ranking.slice(0, k)) if ((judgements.get(id) ?? 0) >= RELEVANT) hits++;
  return hits / k;
}

const discounted = (grades: readonly number[], k: number): number =>
  grades.slice(0, k).reduce((sum, grade, rank) => sum + (2 ** grade - 1) / Math.log2(rank + 2), 0);

/** Normalised discounted cumulative gain with gain 2^grade - 1; 0 where nothing is relevant at all. */
export function ndcgAt(k: number, ranking: readonly string[], judgements: Judgements): number {
  const ideal = discounted(
    [...judgements.values()].sort((a, b) => b - a),
    k,
  );
  if (ideal === 0) return 0;
  return (
    discounted(
      ranking.map((id) => judgements.get(id) ?? 0),
      k,
    ) / ideal
  );
}

/** 1 / rank of the first relevant document; 0 where the ranking holds none. */
export function reciprocalRank(ranking: readonly string[], judgements: Judgements): number {
  const first = ranking.findIndex((id) => (judgements.get(id) ?? 0) >= RELEVANT);
  return first === -1 ? 0 : 1 / (first + 1);
}

/** Share of the relevant documents among the first k. */
export function recallAt(k: number, ranking: readonly string[], judgements: Judgements): number {
  let relevant = 0;
  for (const grade of judgements.values()) if (grade >= RELEVANT) relevant++;
  return relevant === 0 ? 0 : (precisionAt(k, ranking, judgements) * k) / relevant;
}

/** All metrics of one query. `ranking` holds the first 100 at least, where there are as many. */
export function measure(ranking: readonly string[], judgements: Judgements): Scores {
  return {
    p10: precisionAt(10, ranking, judgements),
    p100: precisionAt(100, ranking, judgements),
    ndcg10: ndcgAt(10, ranking, judgements),
    mrr: reciprocalRank(ranking, judgements),
    recall100: recallAt(100, ranking, judgements),
  };
}

/** 0 for no values. */
export const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
