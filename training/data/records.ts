/**
 * The dataset folder: JSON Lines, read as streams. A bad row is reported with its line and counted; more bad rows than the stated
 * share stop the run.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { Ad } from '../../shared/contract/ads.ts';
import { HarnessError } from '../../shared/problem.ts';

export const QueryRow = z.object({
  id: z.string().min(1),
  text: z.string().min(1),
  market: z.string(),
  frequency: z.number().nonnegative(),
  /** 'interpolation': a new phrasing of a known concept; 'extrapolation': a concept that training never saw. */
  slice: z.enum(['interpolation', 'extrapolation']),
  /** How the query was worded: name, synonym, typo, ... */
  kind: z.string(),
});
export type QueryRow = z.infer<typeof QueryRow>;

/** Grades of 2 and 3 are relevant. */
export const QrelRow = z.object({ queryId: z.string(), adId: z.string(), grade: z.int().min(0).max(3) });
export type QrelRow = z.infer<typeof QrelRow>;

export const TextRow = z.object({ text: z.string().min(1) });
export type TextRow = z.infer<typeof TextRow>;

/** What happened in the log to one ad under one query. */
export const ClickRow = z.object({
  queryId: z.string(),
  adId: z.string(),
  impressions: z.int().nonnegative(),
  clicks: z.int().nonnegative(),
});
export type ClickRow = z.infer<typeof ClickRow>;

/** Every file that training reads, with the schema of its rows. */
export const FILES = {
  'catalogue.jsonl': Ad,
  'queries.train.jsonl': QueryRow,
  'queries.validation.jsonl': QueryRow,
  'queries.test.jsonl': QueryRow,
  'clicks.train.jsonl': ClickRow,
  'qrels.validation.jsonl': QrelRow,
  'qrels.test.jsonl': QrelRow,
  'text.general.jsonl': TextRow,
} as const;
export type FileName = keyof typeof FILES;

/** Bad rows of one file so far. */
export interface BadRow {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly reason: string;
}

export interface ReadOptions {
  /** Share of bad rows above which the file is refused. */
  readonly maxBadShare: number;
  readonly onBadRow: (bad: BadRow) => void;
}

/** Below this many rows a share says little. */
const ROWS_BEFORE_GIVING_UP = 100;

export interface DatasetFolder {
  readonly folder: string;
  /** Rows of one file, in order. @throws HarnessError where too many are bad. */
  read<F extends FileName>(file: F): AsyncGenerator<z.infer<(typeof FILES)[F]>>;
  /** Rows of one file, all in memory. */
  all<F extends FileName>(file: F): Promise<z.infer<(typeof FILES)[F]>[]>;
  /** Hex SHA-256 over the named files' bytes. */
  digest(files: readonly FileName[]): Promise<string>;
}

/** Opens a dataset folder. @throws HarnessError saying how to make one where a file is missing. */
export function openDataset(folder: string, options: ReadOptions): DatasetFolder {
  for (const file of Object.keys(FILES)) {
    if (!existsSync(join(folder, file)))
      throw new HarnessError(
        'not_found',
        `${folder}: expected the dataset's ${file}, found none; npm run market writes the bundled market there.`,
      );
  }
  async function* read<F extends FileName>(file: F): AsyncGenerator<z.infer<(typeof FILES)[F]>> {
    yield* readRows<z.infer<(typeof FILES)[F]>>(join(folder, file), FILES[file] as never, options);
  }
  return {
    folder,
    read,
    async all(file) {
      const rows: z.infer<(typeof FILES)[typeof file]>[] = [];
      for await (const row of read(file)) rows.push(row);
      return rows;
    },
    async digest(files) {
      const hash = createHash('sha256');
      for (const file of files) {
        hash.update(`${file}\n`);
        for await (const part of createReadStream(join(folder, file))) hash.update(part as Buffer);
      }
      return hash.digest('hex');
    },
  };
}

/** Rows of a JSON Lines file that fit the schema; blank lines are skipped. */
export async function* readRows<T>(
  path: string,
  schema: z.ZodType<T>,
  { maxBadShare, onBadRow }: ReadOptions,
): AsyncGenerator<T> {
  let line = 0;
  let bad = 0;
  const refuse = () =>
    new HarnessError(
      'bad_request',
      `${path}: ${bad} of ${line} rows are bad, more than the ${maxBadShare * 100} % that data.maxBadShare allows.`,
    );
  const reject = (reason: string) => {
    bad++;
    onBadRow({ file: path, line, reason });
    if (line >= ROWS_BEFORE_GIVING_UP && bad > maxBadShare * line) throw refuse();
  };
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  try {
    for await (const text of lines) {
      line++;
      if (text.trim() === '') continue;
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        reject('not JSON');
        continue;
      }
      const row = schema.safeParse(value);
      if (row.success) yield row.data;
      else reject(row.error.issues.map(({ path: at, message }) => `${at.join('.') || 'row'}: ${message}`).join('; '));
    }
  } finally {
    lines.close();
  }
  if (bad > maxBadShare * line) throw refuse();
}
