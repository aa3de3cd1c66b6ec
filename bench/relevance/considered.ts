/**
 * What retrieval considers for the market's validation and test queries, with the judge's grade of each ad: the
 * service's own retrievers, fusion and student over an exact index, in this process.
 */
import { loadBundle } from '../../gpu-backend/encoder/bundle.ts';
import { createEncoder } from '../../gpu-backend/encoder/pool.ts';
import { indexBookings } from '../../gpu-backend/generations/bookings.ts';
import { GENERATION_FORMAT, partition } from '../../gpu-backend/generations/layout.ts';
import { Live } from '../../gpu-backend/generations/live.ts';
import { rowsById } from '../../gpu-backend/generations/load.ts';
import { exactIndex } from '../../gpu-backend/index/exact.ts';
import { int8Rows } from '../../gpu-backend/index/vector-rows.ts';
import { indexKeywords } from '../../gpu-backend/retrieval/keyword.ts';
import { LexicalIndex } from '../../gpu-backend/retrieval/lexical.ts';
import { LexicalSegmentBuilder, readSegment } from '../../gpu-backend/retrieval/lexical-segment.ts';
import { indexedAd, LEXICAL_VERSION } from '../../gpu-backend/retrieval/lexical-terms.ts';
import { type Considered, type ConsideredAd, createRetrieval } from '../../gpu-backend/retrieval/retrieve.ts';
import { createMarket, MARKET_SEED } from '../../marketplace/market.ts';
import type { Query } from '../../marketplace/queries.ts';
import { type QueryCosines, queryCosines } from '../../shared/cosine-adapter.ts';
import { terms } from '../../shared/coverage.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Evidence } from '../../shared/relevance.ts';
import { NORMALIZER_VERSION } from '../../shared/text.ts';
import { type Judgements, precisionAt, RELEVANT } from '../../training/evaluate/metrics.ts';

/** An ad under a query, with all that a map from scores to relevance may read. */
export interface Pair extends Evidence, QueryCosines {
  relevant: boolean;
}

export interface AskedQuery {
  /** Relevant ads that the market has. */
  relevant: number;
  pairs: Pair[];
  /** Coverage of what words found, before any vector. */
  wordCoverages: number[];
  terms: number;
  /** P@10 of words alone, and of words and vectors. */
  wordsP10: number;
  bothP10: number;
}

const WORDS: Plan = { retrievers: ['lexical'], k: 100, minRelevance: 0 };
const BOTH: Plan = { retrievers: ['dense', 'lexical'], k: 100, minRelevance: 0 };

export type Split = 'validation' | 'test';

/** @param every Takes one query of so many. */
export async function considered(options: {
  bundleDir: string;
  every: number;
  say: (line: string) => void;
}): Promise<Record<Split, AskedQuery[]>> {
  const { bundleDir, every, say } = options;
  say('making the market');
  const market = createMarket({ seed: MARKET_SEED });
  const bundle = await loadBundle(bundleDir);
  const { spaceId, dimension, calibration, name } = bundle.manifest;
  const bundled = await bundle.readAds();
  const byId = new Map(market.ads.map((ad) => [ad.id, ad]));
  const ads = bundled.ids.map((id) => ({ ad: byId.get(id)!, revision: 1, source: 'bundle' as const }));
  const lists = new LexicalSegmentBuilder();
  for (const { ad } of ads) lists.add(indexedAd(ad));
  const rows = int8Rows(bundled.vectors, dimension);
  const members = await partition(ads);
  const live = new Live({ spaceId });
  await live.swap({
    manifest: {
      format: GENERATION_FORMAT,
      number: 1,
      createdAt: '',
      spaceId,
      dimension,
      model: name,
      ads: ads.length,
      markets: Object.fromEntries([...members].map(([market, own]) => [market, own.length])),
      vectors: { uploaded: 0, bundle: ads.length, student: 0 },
      lexicalVersion: LEXICAL_VERSION,
      copyOf: null,
      files: [],
    },
    ads,
    rows,
    members,
    indices: new Map([...members].map(([market, own]) => [market, exactIndex(rows, own)])),
    lexical: new LexicalIndex(readSegment(lists.image(), 'market')),
    bookings: await indexBookings(ads),
    rowOf: await rowsById(ads),
    ...(await indexKeywords(ads)),
  });
  const encoder = await createEncoder({ bundle });
  let seen: Considered | undefined;
  const onConsidered = (answer: () => Considered) => {
    seen = answer();
  };
  const { retrieve } = createRetrieval({
    encoder,
    live,
    calibration,
    newWords: await bundle.readNewWords(),
    onConsidered,
  });

  const ask = async (query: Query): Promise<AskedQuery> => {
    const judgements: Judgements = new Map(market.judge(query).map(({ item, grade }) => [item.ad.id, grade]));
    const rank = async (plan: Plan) => {
      const { normalized, market: booked } = query;
      const request = { query: normalized, normalizerVersion: NORMALIZER_VERSION, market: booked, locale: 'en', plan };
      const { candidates } = await retrieve({ ...request, deadlineMs: 60_000 });
      const p10 = precisionAt(
        10,
        candidates.map(({ adId }) => adId),
        judgements,
      );
      return { p10, ads: seen?.ads ?? [], bestCoverage: seen?.bestCoverage ?? 0 };
    };
    const words = await rank(WORDS);
    const both = await rank(BOTH);
    const cosines = both.ads.map(({ cosine = 0 }) => cosine);
    const shared = { bestCoverage: both.bestCoverage, ...queryCosines(query.normalized, cosines) };
    const pairOf = ({ adId, cosine = 0, coverage }: ConsideredAd): Pair => {
      return { ...shared, cosine, coverage, relevant: (judgements.get(adId) ?? 0) >= RELEVANT };
    };
    return {
      relevant: [...judgements.values()].filter((grade) => grade >= RELEVANT).length,
      pairs: both.ads.map(pairOf),
      wordCoverages: words.ads.map(({ coverage }) => coverage),
      terms: terms(query.normalized).length,
      wordsP10: words.p10,
      bothP10: both.p10,
    };
  };
  try {
    const of = async (split: Split): Promise<AskedQuery[]> => {
      const queries = market.queries[split].filter((_, i) => i % every === 0);
      say(`${split}: ${queries.length} queries`);
      const answers: AskedQuery[] = [];
      for (const query of queries) answers.push(await ask(query));
      return answers;
    };
    return { validation: await of('validation'), test: await of('test') };
  } finally {
    await encoder.close();
  }
}
