/** Quality on validation queries while a student trains: what the curves show. The test split is never looked at here. */
import type { RecipeContext } from '../context.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { judgedQueries } from '../evaluate/market.ts';
import { firstPage, scored } from '../evaluate/rank.ts';
import { openSearch } from '../evaluate/search.ts';
import type { Quality } from '../phases/train.ts';
import { type EncoderModel, encodeTexts } from '../runner/encoder.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import type { CatalogueVectors } from './catalogue.ts';

export interface Validation {
  /** P@10 and nDCG@10 of a query encoder among the teacher's ad vectors. */
  readonly measure: (student: EncoderModel) => Promise<Quality>;
  readonly close: () => Promise<void>;
}

/** @param options.count Validation queries, drawn by seed. */
export async function openValidation(
  { config, dataset }: RecipeContext,
  options: { catalogue: CatalogueVectors; tokenizer: TextTokenizer; count: number },
): Promise<Validation> {
  const { seed, threads } = config;
  const { tokenizer, count } = options;
  const { ads, vectors } = options.catalogue;
  const judged = (await judgedQueries(dataset, 'validation')).queries;
  const queries = shuffle([...judged], seeded(seed, 'curve')).slice(0, count);
  const texts = queries.map(({ normalized }) => normalized);
  const search = await openSearch(vectors, vectors.length / ads.length);
  return {
    async measure(student) {
      const own = await encodeTexts(student, texts, { tokenizer, threads });
      return firstPage(await scored(search, own, { ads, queries, k: 10 }));
    },
    close: () => search.close(),
  };
}
