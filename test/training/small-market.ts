/** A market of a few ads and queries in the words that the golden checkpoint knows, as a dataset folder. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ad } from '../../shared/contract/ads.ts';

const THINGS = ['sock', 'shoe', 'belt', 'leather', 'wool'];
const KINDS = ['red', 'blue', 'cheap', 'running'];

export function smallAds(): Ad[] {
  return THINGS.flatMap((thing) =>
    KINDS.map((kind, i) => ({
      id: `ad-${kind}-${thing}`,
      advertiserId: 'adv-1',
      campaignId: 'cmp-1',
      title: `${kind} ${thing}`,
      description: `a ${kind} ${thing} for men`,
      displayUrl: 'shop.example',
      landingUrl: 'https://shop.example/',
      keywords: [{ text: thing, match: 'broad' as const }],
      markets: i === 0 ? ['us'] : ['us', 'gb'],
      bidMicros: 1_000_000,
      dailyBudgetMicros: 10_000_000,
      status: thing === 'wool' && kind === 'cheap' ? ('paused' as const) : ('active' as const),
    })),
  );
}

interface SmallQuery {
  id: string;
  text: string;
  market: string;
  frequency: number;
  slice: string;
  kind: string;
}

const query = (id: string, text: string, i: number): SmallQuery => ({
  id,
  text,
  market: i % 3 ? 'us' : 'gb',
  frequency: 1,
  slice: i % 2 ? 'interpolation' : 'extrapolation',
  kind: i % 2 ? 'name' : 'attribute',
});

const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** Writes the dataset; `badRows` lines that are not JSON go into the training queries. */
export async function writeSmallMarket(folder: string, { badRows = 0 } = {}): Promise<void> {
  const ads = smallAds();
  const train = THINGS.flatMap((a) => KINDS.flatMap((b) => THINGS.map((c) => `${a} ${b} ${c}`)));
  const judge = (queries: readonly SmallQuery[]) =>
    queries.flatMap(({ id, text, market }) =>
      ads
        .filter(({ status, markets }) => status === 'active' && markets.includes(market))
        .flatMap(({ id: adId, title }) => {
          const shared = title.split(' ').filter((word) => text.includes(word)).length;
          return shared === 0 ? [] : [{ queryId: id, adId, grade: shared + 1 }];
        }),
    );
  const split = (prefix: string, words: readonly string[]) =>
    words.flatMap((word, i) => KINDS.map((kind, j) => query(`${prefix}-${i}-${j}`, `${kind} ${word} of men`, i + j)));
  const [validation, test] = [
    split('va', THINGS),
    split(
      'te',
      THINGS.map((thing) => `${thing}s`),
    ),
  ];
  const files = {
    'catalogue.jsonl': lines(ads),
    'queries.train.jsonl': lines(train.map((text, i) => query(`tr-${i}`, text, i))) + 'not a row\n'.repeat(badRows),
    'clicks.train.jsonl': lines(
      train.flatMap((text, i) =>
        ads
          .filter(
            ({ title, status }) =>
              status === 'active' && text.startsWith(title.split(' ')[1]!) && text.includes(title.split(' ')[0]!),
          )
          .map(({ id }) => ({ queryId: `tr-${i}`, adId: id, impressions: 100, clicks: 30 })),
      ),
    ),
    'queries.validation.jsonl': lines(validation),
    'queries.test.jsonl': lines(test),
    'qrels.validation.jsonl': lines(judge(validation)),
    'qrels.test.jsonl': lines(judge(test)),
    // What the teacher alone may read: the last word names the split, so that a leak would show.
    'oracle.train.jsonl': lines(train.map((text, i) => ({ queryId: `tr-${i}`, text: `for ${text} for train` }))),
    'oracle.validation.jsonl': lines(validation.map(({ id, text }) => ({ queryId: id, text: `for ${text}` }))),
    'oracle.test.jsonl': lines(test.map(({ id, text }) => ({ queryId: id, text: `for ${text}` }))),
    // The last one is a test query in another order: it must not be trained on.
    'text.general.jsonl': lines(
      [...THINGS.map((thing) => `a ${thing} for a ${thing}`), 'men of socks red'].map((text) => ({ text })),
    ),
  };
  await mkdir(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
}
