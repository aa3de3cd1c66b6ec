/**
 * Judgements of ads beside queries. They count for what was shown before and after they came; a rollup adds each once, so
 * the first one of an ad beside a query holds.
 */
import { sql } from 'drizzle-orm';
import type { Judgement, JudgementResult } from '../../shared/contract/judgements.ts';
import { normalize } from '../../shared/text.ts';
import { type Database, rows } from '../db/connect.ts';
import { insertRecords } from '../db/recordset.ts';
import { judgements } from '../db/schema.ts';

export async function storeJudgements(db: Database, judged: readonly Judgement[]): Promise<JudgementResult> {
  const records = judged
    .map(({ market, locale, query, adId, relevant }) => ({ market, query: normalize(query, locale), adId, relevant }))
    // in one order, so that two uploads of the same judgements wait for each other instead of both at once
    .sort((a, b) => (`${a.market} ${a.query} ${a.adId}` < `${b.market} ${b.query} ${b.adId}` ? -1 : 1));
  const stored = await rows(
    db,
    sql`${insertRecords(judgements, records)} on conflict do nothing returning ${judgements.adId}`,
  );
  return { stored: stored.length, known: judged.length - stored.length };
}
