/**
 * The dataset: a folder of Harness's own JSON Lines, or anyone's files mapped onto the same records. Always read as streams. A bad row is
 * reported with its line and counted; more bad rows than the stated share stop the run.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { HarnessError } from '../../shared/problem.ts';
import { readDelimited } from './delimited.ts';
import { readJsonLines } from './json-lines.ts';
import { columnsOf, type Format, mapRows, type Source } from './mapping.ts';
import { readParquet } from './parquet.ts';
import { PRESETS } from './presets/presets.ts';
import {
  type BadRowSummary,
  type DatasetFolder,
  FILES,
  type FileName,
  OPTIONAL,
  type RawRow,
  type ReadOptions,
  type RowOf,
} from './records.ts';

/** Records named without the ending of their file: `catalogue`, `queries.train`, `clicks.train`, `qrels.test`, `text.general`, ... */
export type RecordName = FileName extends `${infer Name}.jsonl` ? Name : never;
/** Sources by record. */
export type Sources = Readonly<Partial<Record<RecordName, Source>>>;

/** Where the dataset's files are. */
export interface DatasetSettings {
  /** Folder with Harness's own files; with a preset, with the published files of that dataset. */
  readonly folder: string;
  /** A public dataset whose files are in the folder under their published names. */
  readonly preset?: keyof typeof PRESETS | undefined;
  /** Records that come from other files, or in other columns; they go before the preset's and the folder's. */
  readonly sources?: Sources | undefined;
}

/** Below this many rows a share says little. */
const ROWS_BEFORE_GIVING_UP = 100;
const EXAMPLES = 5;

const FORMATS: Readonly<Record<string, Format>> = {
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  parquet: 'parquet',
  csv: 'csv',
  tsv: 'tsv',
};

/** One file of a kind of record, and what was seen of it so far, over all the times it was read. */
interface Part {
  readonly path: string;
  /** As reports name it. */
  readonly name: string;
  readonly source: Source;
  readonly rows: (columns: readonly string[] | undefined) => AsyncGenerator<RawRow>;
  seen: { rows: number; bad: number; examples: { line: number; reason: string }[]; reported: number };
}

function rowsIn(path: string, format: Format | undefined): Part['rows'] {
  const ending = path.slice(path.lastIndexOf('.') + 1).toLowerCase();
  switch (format ?? FORMATS[ending]) {
    case 'jsonl':
      return () => readJsonLines(path);
    case 'parquet':
      return (columns) => readParquet(path, columns ? { columns } : {});
    case 'csv':
      return (columns = []) => readDelimited(path, { delimiter: ',', columns });
    case 'tsv':
      return (columns = []) => readDelimited(path, { delimiter: '\t', columns });
    default:
      throw new HarnessError(
        'configuration',
        `${path}: expected a file that ends in ${Object.keys(FORMATS).join(', ')}, found '${ending}'; name its format in data.sources.`,
      );
  }
}

const nothingSeen = (): Part['seen'] => ({ rows: 0, bad: 0, examples: [], reported: 0 });

/** The files behind one kind of record; none where it is optional and absent. */
function partsOf(file: FileName, { folder, sources }: { folder: string; sources: Sources }): Part[] {
  const record = file.slice(0, -'.jsonl'.length) as RecordName;
  const source = sources[record];
  if (!source) {
    const path = join(folder, file);
    if (existsSync(path))
      return [{ path, name: file, source: { files: path }, rows: rowsIn(path, 'jsonl'), seen: nothingSeen() }];
    if (OPTIONAL.has(file)) return [];
    throw new HarnessError(
      'not_found',
      `${folder}: expected the dataset's ${file}, found none; npm run market writes the bundled market there, and data.sources maps files of your own.`,
    );
  }
  return [source.files].flat().flatMap((pattern) => {
    const paths = existsSync(pattern) ? [pattern] : globSync(pattern).sort();
    if (paths.length === 0)
      throw new HarnessError('not_found', `data.sources['${record}']: expected files at ${pattern}, found none.`);
    return paths.map((path) => ({
      path,
      name: path,
      source,
      rows: rowsIn(path, source.format),
      seen: nothingSeen(),
    }));
  });
}

/** The good rows of one file. */
async function* goodRows<T>(
  part: Part,
  schema: z.ZodType<T>,
  { maxBadShare, onBadRow }: ReadOptions,
): AsyncGenerator<T> {
  const { path, source } = part;
  const pass = { rows: 0, bad: 0, examples: [] as { line: number; reason: string }[] };
  const refuse = () =>
    new HarnessError(
      'bad_request',
      `${path}: ${pass.bad} of ${pass.rows} rows are bad, more than the ${maxBadShare * 100} % that data.maxBadShare allows.`,
    );
  const reject = (line: number, reason: string) => {
    pass.bad++;
    if (pass.examples.length < EXAMPLES) pass.examples.push({ line, reason });
    // Files are read more than once, always from the first line on.
    if (line > part.seen.reported) {
      part.seen.reported = line;
      onBadRow({ file: path, line, reason });
    }
    if (pass.rows >= ROWS_BEFORE_GIVING_UP && pass.bad > maxBadShare * pass.rows) throw refuse();
  };
  try {
    for await (const raw of mapRows(part.rows(columnsOf(source)), source, schema as never)) {
      pass.rows++;
      if ('fault' in raw) {
        reject(raw.line, raw.fault);
        continue;
      }
      const row = schema.safeParse(raw.value);
      if (row.success) yield row.data;
      else
        reject(
          raw.line,
          row.error.issues.map(({ path: at, message }) => `${at.join('.') || 'row'}: ${message}`).join('; '),
        );
    }
    if (pass.bad > maxBadShare * pass.rows) throw refuse();
  } finally {
    if (pass.rows >= part.seen.rows) part.seen = { ...part.seen, ...pass };
  }
}

/** Opens a dataset. @throws HarnessError in one line where a file is missing or its format unknown. */
export function openDataset(settings: string | DatasetSettings, options: ReadOptions): DatasetFolder {
  const { folder, preset, sources = {} } = typeof settings === 'string' ? { folder: settings } : settings;
  const mapped: Sources = { ...(preset ? PRESETS[preset]({ folder }) : {}), ...sources };
  const names = Object.keys(FILES) as FileName[];
  const parts = new Map(names.map((file) => [file, partsOf(file, { folder, sources: mapped })]));

  async function* read<F extends FileName>(file: F): AsyncGenerator<RowOf<F>> {
    for (const part of parts.get(file)!) yield* goodRows(part, FILES[file] as unknown as z.ZodType<RowOf<F>>, options);
  }
  return {
    folder,
    read,
    has: (file) => parts.get(file)!.length > 0,
    async all(file) {
      const rows: RowOf<typeof file>[] = [];
      for await (const row of read(file)) rows.push(row);
      return rows;
    },
    async digest(files) {
      const hash = createHash('sha256');
      for (const file of files) {
        hash.update(`${file}\n`);
        for (const { path, source } of parts.get(file)!) {
          const { columns, where, share, distinct } = source;
          if (columns) hash.update(JSON.stringify({ columns, where, share, distinct }));
          for await (const block of createReadStream(path)) hash.update(block as Buffer);
        }
      }
      return hash.digest('hex');
    },
    badRows: () =>
      names.flatMap((records): BadRowSummary[] =>
        parts
          .get(records)!
          .filter(({ seen }) => seen.bad > 0)
          .map(({ name, seen: { rows, bad, examples } }) => ({ records, file: name, rows, bad, examples })),
      ),
  };
}
