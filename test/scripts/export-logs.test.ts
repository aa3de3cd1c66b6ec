/** The served log as a dataset: what is left out, what is counted once, what a place in the page is worth; on both databases. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createCatalogue } from '../../gpu-backend/catalogue/catalogue.ts';
import type { Database } from '../../gpu-backend/db/connect.ts';
import { ingest } from '../../gpu-backend/events/ingest.ts';
import { advance, watermark } from '../../gpu-backend/experiments/rollup-advance.ts';
import { exportLogs } from '../../scripts/export-logs.ts';
import { readLog } from '../../scripts/read-log.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { openDataset } from '../../training/data/dataset.ts';
import { partOf } from '../../training/data/log-dataset.ts';
import type { FileName, RowOf } from '../../training/data/records.ts';
import { testFolder } from '../fixtures/folder.ts';
import { DATABASES } from '../setup/databases.ts';
import { useDatabase } from '../setup/hooks.ts';
import { AT_MS, sampleAd, sampleClick, sampleImpression } from '../setup/samples.ts';

const at = testFolder('export-logs');
const DAY_MS = 86_400_000;
const HELD_OUT = 0.5;
const WINDOW = { minUnits: 3, days: 30, validationDays: 2, testDays: 2, heldOut: HELD_OUT };
/** Days before the newest event, one in each window. */
const AGO = { train: 10, validation: 3, test: 1 };

/** Queries dealt to each part. */
const dealt = (part: keyof typeof AGO, count: number) =>
  Array.from({ length: 200 }, (_, i) => `red shoe ${i}`)
    .filter((query) => partOf(query, HELD_OUT) === part)
    .slice(0, count);
const [COMMON, RARE, UNASKED] = dealt('train', 3) as [string, string, string];
const [JUDGED] = dealt('validation', 1) as [string];
const [TESTED] = dealt('test', 1) as [string];

let made = 0;
/** A page of two ads, and a click on one of them. */
function page(
  query: string,
  {
    unit,
    daysAgo,
    ads = ['a', 'b'],
    click,
    ...change
  }: { unit: number; daysAgo: number; ads?: string[]; click?: string } & Partial<ReturnType<typeof sampleImpression>>,
): HarnessEvent[] {
  const id = `impression-${made++}`;
  const slots = ads.map((adId, i) => ({ position: i + 1, adId, relevance: 1, priceMicros: 1, retrievers: ['dense'] }));
  const atMs = AT_MS - daysAgo * DAY_MS;
  const shown = sampleImpression({
    id,
    atMs,
    unitId: `unit-${unit}`,
    consent: true,
    query,
    slots,
    assignments: [],
    ...change,
  });
  if (click === undefined) return [shown];
  const position = ads.indexOf(click) + 1;
  return [shown, sampleClick({ id: `${id}:${position}`, impressionId: id, adId: click, position, atMs: atMs + 1 })];
}

const units = (count: number) => Array.from({ length: count }, (_, unit) => unit);

async function fill(db: Database): Promise<void> {
  const catalogue = createCatalogue({
    ...{ db, space: { spaceId: 'x', dimension: 2 } },
    ...{ follow: async () => {}, onKillListChange: async () => {} },
  });
  await catalogue.putMany([sampleAd({ id: 'a' }), sampleAd({ id: 'b', status: 'paused' }), sampleAd({ id: 'gone' })]);
  await catalogue.remove('gone');
  const events = [
    // Half see a first, half see b first: b is clicked half as often in the second place, and so is a.
    ...units(8).flatMap((unit) => page(COMMON, { unit, daysAgo: AGO.train, ...(unit < 4 && { click: 'a' }) })),
    ...units(8).flatMap((unit) =>
      page(COMMON, { unit: 8 + unit, daysAgo: AGO.train, ads: ['b', 'a'], ...(unit < 2 && { click: 'a' }) }),
    ),
    // Units that come again, in the same place: counted once.
    ...units(4).flatMap((unit) => page(COMMON, { unit, daysAgo: AGO.train - 1, click: 'a' })),
    // What must leave no trace.
    ...units(9).flatMap((unit) => page(COMMON, { unit: 50 + unit, daysAgo: AGO.train, bot: true, click: 'b' })),
    ...units(9).flatMap((unit) => page(COMMON, { unit: 60 + unit, daysAgo: AGO.train, consent: false, click: 'b' })),
    ...units(9).flatMap((unit) => page(COMMON, { unit: 70 + unit, daysAgo: AGO.train, qa: true, click: 'b' })),
    ...units(9).flatMap((unit) => page(COMMON, { unit: 80 + unit, daysAgo: 40, click: 'b' })),
    ...units(9).flatMap((unit) => page(`digest:${unit % 2}`, { unit, daysAgo: AGO.train, click: 'a' })),
    ...units(2).flatMap((unit) => page(RARE, { unit, daysAgo: AGO.train, click: 'a' })),
    ...units(9).flatMap(() => page(RARE, { unit: 1, daysAgo: AGO.train, click: 'a' })),
    ...units(5).flatMap((unit) => page(UNASKED, { unit, daysAgo: AGO.test, click: 'a' })),
    ...(['train', 'validation', 'test'] as const).flatMap((part) =>
      [JUDGED, TESTED].flatMap((query) =>
        units(5).flatMap((unit) => page(query, { unit, daysAgo: AGO[part], ...(unit < 3 && { click: 'b' }) })),
      ),
    ),
    // An ad that is no more: nobody can find it.
    ...units(4).flatMap((unit) => page(COMMON, { unit, daysAgo: AGO.train, ads: ['gone'], click: 'gone' })),
    ...units(5).flatMap((unit) => page(JUDGED, { unit, daysAgo: AGO.validation, ads: ['gone'], click: 'gone' })),
    ...page('the newest', { unit: 1, daysAgo: 0 }),
    // By a clock that is ahead by decades: it moves no window, and trains nobody.
    ...units(9).flatMap((unit) => page(COMMON, { unit: 90 + unit, daysAgo: -25_000, click: 'b' })),
  ];
  const { rejected } = await ingest(events, { db });
  expect(rejected).toEqual([]);
}

async function read<F extends FileName>(folder: string, file: F): Promise<RowOf<F>[]> {
  const onBadRow = (row: unknown) => expect.unreachable(JSON.stringify(row));
  const found: RowOf<F>[] = [];
  for await (const row of openDataset(folder, { maxBadShare: 0, onBadRow }).read(file)) found.push(row);
  return found;
}

describe.each(DATABASES)('on the %s database', (name, open) => {
  const database = useDatabase(open);
  const out = at(name);
  beforeAll(() => fill(database.db));

  test('it is a dataset of those who agreed, of what many asked, with each look counted once', async () => {
    const summary = await exportLogs(database.db, { out: `${out}/`, ...WINDOW });
    expect(summary).toEqual({
      ads: 2,
      queries: { train: 1, validation: 1, test: 1 },
      clickedPairs: 1,
      examination: [1, 0.5],
      rare: { queries: 2, impressions: 12 },
    });
    expect((await read(out, 'catalogue.jsonl')).map(({ id, status }) => [id, status])).toEqual([
      ['a', 'active'],
      ['b', 'paused'],
    ]);
    const [query, ...others] = await read(out, 'queries.train.jsonl');
    expect(others).toEqual([]);
    expect(query).toMatchObject({ text: COMMON, market: 'us', frequency: 20 });
    // 8 looks in the first place, and 8 in the second at half.
    expect(await read(out, 'clicks.train.jsonl')).toEqual([
      { queryId: query!.id, adId: 'a', impressions: 12, clicks: 6 },
      { queryId: query!.id, adId: 'b', impressions: 12, clicks: 0 },
    ]);
  });

  test('held-out queries are those of their own window', async () => {
    for (const [part, text] of [
      ['validation', JUDGED],
      ['test', TESTED],
    ] as const) {
      const queries = await read(out, `queries.${part}.jsonl`);
      expect(queries.map((each) => [each.text, each.frequency, each.slice])).toEqual([[text, 5, 'extrapolation']]);
      expect((await read(out, `qrels.${part}.jsonl`)).map(({ adId, grade }) => [adId, grade])).toEqual([
        ['a', 0],
        ['b', 3],
      ]);
    }
  });

  test('what is there is not written over, and a log of too few says so and leaves nothing', async () => {
    await expect(exportLogs(database.db, { out, ...WINDOW })).rejects.toMatchObject({ code: 'configuration' });
    const nowhere = exportLogs(database.db, { out: '/dev/null/dataset', ...WINDOW });
    await expect(nowhere).rejects.toThrow('--out: expected a folder that can be written, got /dev/null/dataset.part (');
    const few = exportLogs(database.db, { out: join(out, 'few'), ...WINDOW, minUnits: 1_000 });
    await expect(few).rejects.toThrow(/0 queries for training, .* asked by fewer than 1000 units/);
    await expect(read(join(out, 'few'), 'catalogue.jsonl')).rejects.toMatchObject({ code: 'not_found' });
  });

  test.runIf(name === 'server')('rollups go on while the log is read', async () => {
    await readLog(database.db, WINDOW, async (log) => {
      for await (const _ of log.byQuery()) break;
      await ingest([sampleImpression({ id: 'meanwhile', bot: true })], { db: database.db });
      expect((await watermark(database.db)).waiting).toBeGreaterThan(0);
      await advance(database.db);
      expect((await watermark(database.db)).waiting).toBe(0);
      const queries: string[] = [];
      for await (const [first] of log.byQuery()) queries.push(first!.query);
      expect(queries).toEqual(expect.arrayContaining([COMMON, JUDGED, TESTED, UNASKED]));
    });
  });
});
