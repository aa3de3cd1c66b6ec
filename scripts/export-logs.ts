/** `npm run recipe -- export-logs`: what was served and clicked, as a dataset that the recipe trains on (docs/flywheel.md). */
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { Command, InvalidArgumentError } from 'commander';
import { changesSince } from '../gpu-backend/catalogue/rows.ts';
import { parseConfig } from '../gpu-backend/config.ts';
import { type Database, openPglite, openPostgres } from '../gpu-backend/db/connect.ts';
import { lockDataFolder } from '../gpu-backend/db/data-folder.ts';
import { isUndefinedTable } from '../gpu-backend/db/sql-error.ts';
import { makeFolder } from '../gpu-backend/make-folder.ts';
import { HarnessError } from '../shared/problem.ts';
import { type LogPart, partOf, queryRecords } from '../training/data/log-dataset.ts';
import type { FileName, RowOf } from '../training/data/records.ts';
import { type LogWindow, readLog } from './read-log.ts';

export interface ExportOptions extends LogWindow {
  /** Folder to write; must not be there yet. */
  out: string;
  /** Share of the queries that are never trained on. */
  heldOut: number;
}

/** What was written. */
export interface ExportSummary {
  ads: number;
  queries: Record<LogPart, number>;
  /** Pairs of a training query and an ad that was clicked. */
  clickedPairs: number;
  /** Looks by position; `null` where the log does not tell them, so that every place counts as looked at. */
  examination: number[] | null;
  /** Left out because too few units asked. */
  rare: { queries: number; impressions: number };
}

const WRITTEN = [
  'catalogue.jsonl',
  'queries.train.jsonl',
  'clicks.train.jsonl',
  'queries.validation.jsonl',
  'qrels.validation.jsonl',
  'queries.test.jsonl',
  'qrels.test.jsonl',
] as const satisfies FileName[];

/** A folder of JSON Lines, written beside its place and renamed when it is whole. */
async function writeFolder(out: string, fill: (put: Put) => Promise<void>): Promise<void> {
  if (existsSync(out))
    throw new HarnessError('configuration', `--out: expected a folder that is not there yet, ${out} is.`);
  const beside = `${resolve(out)}.part`; // also of a folder that is named with a slash at its end
  makeFolder('--out', beside);
  await rm(beside, { recursive: true });
  await mkdir(beside);
  const streams = new Map<FileName, ReturnType<typeof createWriteStream>>(
    WRITTEN.map((file) => [file, createWriteStream(join(beside, file))]),
  );
  for (const stream of streams.values()) stream.on('error', () => {}); // told by the next write, or at the end
  try {
    await fill(async (file, row) => {
      const stream = streams.get(file)!;
      if (stream.errored !== null) throw stream.errored;
      if (!stream.write(`${JSON.stringify(row)}\n`)) await once(stream, 'drain');
    });
  } finally {
    await Promise.all([...streams.values()].map((stream) => finished(stream.end())));
  }
  await rename(beside, out);
}
type Put = <F extends (typeof WRITTEN)[number]>(file: F, row: RowOf<F>) => Promise<void>;

/** Looks without a click after which an ad counts as not relevant. */
const LOOKS_FOR_NO = 5;

/** Writes the dataset; throws `not_found` where nobody asked anything often enough. */
export async function exportLogs(db: Database, { out, heldOut, ...window }: ExportOptions): Promise<ExportSummary> {
  return readLog(db, window, async (log) => {
    const examination = await log.examination();
    const queries = { train: 0, validation: 0, test: 0 };
    let clickedPairs = 0;
    const booked = new Set<string>();
    const trainedAds = new Set<string>();
    for await (const shown of log.byQuery())
      if (partOf(shown[0]!.query, heldOut) === 'train')
        for (const { part, adId, clicks } of shown) if (part === 'train' && clicks > 0) trainedAds.add(adId);
    await writeFolder(out, async (put) => {
      for (const { ad } of await changesSince(log.db, 0, '')) {
        if (ad === undefined) continue;
        await put('catalogue.jsonl', ad);
        booked.add(ad.id);
      }
      const options = { examination: examination ?? [1], heldOut, looksForNo: LOOKS_FOR_NO, booked, trainedAds };
      for await (const shown of log.byQuery()) {
        const records = queryRecords(shown, options);
        if (records === undefined) continue;
        const { part, query, clicks, qrels } = records;
        queries[part]++;
        await put(`queries.${part}.jsonl`, query);
        for (const row of clicks) await put('clicks.train.jsonl', row);
        clickedPairs += clicks.filter((row) => row.clicks > 0).length;
        if (part !== 'train') for (const row of qrels) await put(`qrels.${part}.jsonl`, row);
      }
      if (Object.values(queries).includes(0)) {
        const { train, validation, test } = queries;
        throw new HarnessError(
          'not_found',
          `The log gives ${train} queries for training, ${validation} for validation, ${test} for the test: expected some of each; ${log.rare.queries} were asked by fewer than ${window.minUnits} units (--min-units).`,
        );
      }
    });
    return { ads: booked.size, queries, clickedPairs, examination: examination ?? null, rare: log.rare };
  });
}

const number =
  (from: number, to: number, isWhole = true) =>
  (text: string): number => {
    const value = Number(text);
    if ((isWhole && !Number.isSafeInteger(value)) || !(value >= from && value <= to))
      throw new InvalidArgumentError(`expected a ${isWhole ? 'whole ' : ''}number from ${from} to ${to}`);
    return value;
  };

function summary({ ads, queries, clickedPairs, examination, rare }: ExportSummary, out: string): string {
  const looks = examination?.map((chance) => chance.toFixed(2)).join(', ');
  return [
    `${out}: ${ads} ads; ${queries.train} queries to train on with ${clickedPairs} clicked pairs; ${queries.validation} for validation, ${queries.test} for the test`,
    looks === undefined
      ? 'Looks by position: the log shows no ad in two places, so every place counts as looked at.'
      : `Looks by position: ${looks}`,
    `Left out for being asked by too few: ${rare.queries} queries, ${rare.impressions} impressions`,
  ].join('\n');
}

/** The command, for `npm run recipe`. */
export function exportLogsCommand(): Command {
  return new Command('export-logs')
    .description(
      'Turn the served log into a dataset: queries for phase 2, clicked pairs for phase 3, held-out queries.',
    )
    .requiredOption('--out <folder>', 'dataset folder to write')
    .option('--min-units <number>', 'units that must have asked a query', number(1, 1e6), 10)
    .option('--days <number>', 'how far back, from the newest impression', number(1, 3_650), 90)
    .option('--validation-days <number>', 'window of the validation, before the test', number(1, 365), 7)
    .option('--test-days <number>', 'window of the test, the newest days', number(1, 365), 7)
    .option('--held-out <share>', 'share of the queries never trained on', number(0.01, 0.9, false), 0.1)
    .option('--json', 'print what was written as JSON')
    .action(async ({ json, ...options }: ExportOptions & { json?: boolean }) => {
      // The same settings as the backend's; keys play no part.
      const { databaseUrl, dataDir } = parseConfig({ HARNESS_KEYS: 'unused:'.padEnd(32, '-'), ...process.env });
      const folder = databaseUrl === undefined ? lockDataFolder(dataDir) : undefined;
      const connection =
        folder === undefined
          ? await openPostgres(databaseUrl!, { application: 'harness-export' })
          : await openPglite(folder);
      try {
        const written = await exportLogs(connection.db, options);
        process.stdout.write(json ? `${JSON.stringify(written)}\n` : `${summary(written, options.out)}\n`);
      } catch (error) {
        if (!isUndefinedTable(error)) throw error;
        const where = databaseUrl === undefined ? `HARNESS_DATA: ${dataDir}` : 'DATABASE_URL: the database';
        throw new HarnessError(
          'configuration',
          `${where} has no log yet; expected one that a backend has served from.`,
        );
      } finally {
        await connection.close();
        folder?.release();
      }
    });
}
