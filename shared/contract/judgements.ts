/** What people say of ads beside queries, for the share of ads shown that have nothing to do with the query. */
import * as z from 'zod';
import { AdId, Locale, Market } from './names.ts';

export const Judgement = z.strictObject({
  market: Market,
  /** `en` unless given; for the normalisation of the query. */
  locale: Locale.optional(),
  /** As people type it. */
  query: z.string().min(1).max(1_000),
  adId: AdId,
  relevant: z.boolean(),
});
export type Judgement = z.infer<typeof Judgement>;

/** `POST /v1/judgements`. The first judgement of an ad beside a query holds; later ones are counted as known. */
export const JudgementBatch = z
  .strictObject({ judgements: z.array(Judgement).min(1).max(5_000) })
  .meta({ id: 'JudgementBatch' });
export const JudgementResult = z.object({ stored: z.int(), known: z.int() }).meta({ id: 'JudgementResult' });
export type JudgementResult = z.infer<typeof JudgementResult>;
