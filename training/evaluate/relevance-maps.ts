/** The maps to relevance that a bundle carries, fitted on its own student's validation queries. */
import type { Ad } from '../../shared/contract/ads.ts';
import type { CosineAdapter } from '../../shared/cosine-adapter.ts';
import { CoverageIndex, lexicalText } from '../../shared/coverage-index.ts';
import type { RelevanceMap } from '../../shared/relevance.ts';
import type { DatasetFolder } from '../data/records.ts';
import { withoutRarestWord } from './forgotten-word.ts';
import { labelledPairs } from './labelled-pairs.ts';
import { type JudgedQuery, judgedQueries } from './market.ts';
import { rank } from './rank.ts';
import { fitCosineAdapter, fitRelevance } from './relevance.ts';
import type { ExactSearch } from './search.ts';

/** Ads a query by the student, and as many by words. */
const DEPTH = 100;

export interface RelevanceMaps {
  readonly calibration: RelevanceMap;
  /** Of queries with new words (shared/new-words.ts). */
  readonly newWordsCalibration: RelevanceMap;
  readonly cosineAdapter: CosineAdapter;
}

export interface RelevanceMapsOptions {
  readonly dataset: DatasetFolder;
  readonly ads: readonly Ad[];
  /** float32 [ads, dimension], rows of length 1. */
  readonly rows: Float32Array;
  /** Over the same rows. */
  readonly search: ExactSearch;
  /** Vectors of normalized queries, float32 [texts, dimension], rows of length 1. */
  readonly encode: (texts: readonly string[]) => Promise<Float32Array>;
}

export async function fitRelevanceMaps(options: RelevanceMapsOptions): Promise<RelevanceMaps> {
  const { dataset, ads, rows, search, encode } = options;
  const validation = (await judgedQueries(dataset, 'validation')).queries;
  const index = new CoverageIndex(ads.map(lexicalText));
  const pairsOf = async (queries: readonly JudgedQuery[], texts: readonly string[]) => {
    const vectors = await encode(texts);
    const hits = await rank(search, vectors, { ads, queries, k: DEPTH });
    return labelledPairs({ ads, index, rows, vectors, queries, hits, depth: DEPTH });
  };
  const pairs = await pairsOf(
    validation,
    validation.map(({ normalized }) => normalized),
  );
  const forgotten = withoutRarestWord(validation, index);
  const forgottenPairs = await pairsOf(
    forgotten.map(({ query }) => query),
    forgotten.map(({ text }) => text),
  );
  return {
    calibration: fitRelevance(pairs),
    newWordsCalibration: fitRelevance(forgottenPairs),
    cosineAdapter: fitCosineAdapter(pairs),
  };
}
