/**
 * A served log as a dataset: what was shown and clicked, by query, into the records that training reads. A click says
 * as much about an ad's position as about the ad, so each showing counts by how often its position is looked at
 * (position-based model: Richardson, Dominowska and Ragno, WWW 2007): clicks / looks estimates how attractive it is.
 */
import { orderless } from './held-out.ts';
import type { ClickRow, QrelRow, QueryRow } from './records.ts';
import { hash32 } from './seeded.ts';

/** Windows of the log, in the order of time. */
const PARTS = ['train', 'validation', 'test'] as const;
export type LogPart = (typeof PARTS)[number];

/** One ad in one place under one query, in one window; a unit that came again counts once. */
export interface ShownAd {
  readonly market: string;
  /** Normalized. */
  readonly query: string;
  readonly part: LogPart;
  readonly adId: string;
  /** 1-based. */
  readonly position: number;
  /** Units that were shown it, and those of them that clicked. */
  readonly shown: number;
  readonly clicks: number;
  /** How often the query was asked in the window. */
  readonly searches: number;
}

export interface LogDatasetOptions {
  /**
   * Chance that a position is looked at relative to the first, from position 1; positions after the last count as the
   * last.
   */
  readonly examination: readonly number[];
  /** Share of the queries, by hash, that are never trained on: half are for validation, half for the test. */
  readonly heldOut: number;
  /** Looks without a click after which an ad counts as not relevant. */
  readonly looksForNo: number;
  /** Ads of the catalogue: of one that was removed since nothing can be learnt, and no ranking can find it. */
  readonly booked: ReadonlySet<string>;
  /** Ads clicked in training: a held-out query whose clicked ads are none of them is about something new. */
  readonly trainedAds: ReadonlySet<string>;
}

/** Records of one query; nothing of it where its window has none. */
export interface QueryRecords {
  readonly part: LogPart;
  readonly query: QueryRow;
  /** Of a training query. */
  readonly clicks: readonly ClickRow[];
  /** Of a held-out one. */
  readonly qrels: readonly QrelRow[];
}

interface Sum {
  looks: number;
  clicks: number;
}

/** Which part a query is dealt to; every word order of it to the same. */
export function partOf(query: string, heldOut: number): LogPart {
  const dealt = hash32(orderless(query)) / 2 ** 32;
  if (dealt >= heldOut) return 'train';
  return dealt < heldOut / 2 ? 'validation' : 'test';
}

const rounded = (looks: number): number => Math.round(looks * 1e4) / 1e4;

/** Grades by clicks: 3 as attractive as the best (at least half, and clicked twice), 2 clicked, 0 looked at in vain. */
function grades(sums: ReadonlyMap<string, Sum>, { looksForNo }: LogDatasetOptions): [adId: string, grade: number][] {
  const rate = ({ looks, clicks }: Sum) => clicks / Math.max(looks, clicks);
  const best = Math.max(...[...sums.values()].filter(({ clicks }) => clicks > 0).map(rate));
  return [...sums].flatMap(([adId, sum]): [string, number][] => {
    if (sum.clicks > 0) return [[adId, sum.clicks > 1 && rate(sum) >= best / 2 ? 3 : 2]];
    return sum.looks >= looksForNo ? [[adId, 0]] : [];
  });
}

/** What the rows of one query of one market say, in the window that the query is dealt to; `undefined` where that is nothing. */
export function queryRecords(rows: readonly ShownAd[], options: LogDatasetOptions): QueryRecords | undefined {
  const { market, query: text } = rows[0]!;
  const part = partOf(text, options.heldOut);
  const own = rows.filter((row) => row.part === part);
  const sums = new Map<string, Sum>();
  for (const { adId, position, shown, clicks } of own) {
    if (!options.booked.has(adId)) continue;
    const sum = sums.get(adId) ?? { looks: 0, clicks: 0 };
    sum.looks += shown * (options.examination[position - 1] ?? options.examination.at(-1) ?? 1);
    sum.clicks += clicks;
    sums.set(adId, sum);
  }
  const clicked = [...sums].filter(([, { clicks }]) => clicks > 0).map(([adId]) => adId);
  // A query without a click has nothing to be judged by; in training its text still teaches phase 2.
  if (own.length === 0 || (part !== 'train' && clicked.length === 0)) return undefined;
  const id = `${market} ${text}`;
  const isNew = part !== 'train' && !clicked.some((adId) => options.trainedAds.has(adId));
  const slice = isNew ? 'extrapolation' : 'interpolation';
  return {
    part,
    query: { id, text, market, frequency: own[0]!.searches, slice, kind: 'log' },
    clicks:
      part === 'train'
        ? [...sums].map(([adId, { looks, clicks }]) => ({ queryId: id, adId, impressions: rounded(looks), clicks }))
        : [],
    qrels: part === 'train' ? [] : grades(sums, options).map(([adId, grade]) => ({ queryId: id, adId, grade })),
  };
}
