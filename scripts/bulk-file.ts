/** A file of ads as the bulk load reads it: JSON Lines, also gzipped, or Parquet; and the report of its bad rows. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';
import type { BadRowReport, BulkRow } from '../gpu-backend/catalogue/bulk-load.ts';
import { HarnessError } from '../shared/problem.ts';
import { jsonRows, linesOf, readLines } from '../training/data/json-lines.ts';
import { readParquet } from '../training/data/parquet.ts';

export interface BulkFile {
  /** Hex SHA-256 of the file's bytes. */
  digest: string;
  /** Rows of the file, blank lines not counted. */
  rows: number;
  read(): AsyncIterable<BulkRow>;
}

/** Reads the file once, for its digest and the number of its rows. Throws `bad_request` for one that cannot be read. */
export async function openBulkFile(path: string): Promise<BulkFile> {
  const hash = createHash('sha256');
  const read = path.endsWith('.parquet') ? () => parquetRows(path) : () => jsonRows(lines(path));
  try {
    for await (const block of createReadStream(path)) hash.update(block);
    return { digest: hash.digest('hex'), rows: await countRows(path), read };
  } catch (cause) {
    if (cause instanceof HarnessError) throw cause;
    throw new HarnessError(
      'bad_request',
      `${path}: expected .jsonl, .jsonl.gz or .parquet that can be read, got: ${(cause as Error).message}`,
      { cause },
    );
  }
}

async function countRows(path: string): Promise<number> {
  if (path.endsWith('.parquet')) return Number((await parquetMetadataAsync(await asyncBufferFromFile(path))).num_rows);
  let rows = 0;
  for await (const line of lines(path)) if (line.trim() !== '') rows++;
  return rows;
}

function lines(path: string): AsyncGenerator<string> {
  if (!path.endsWith('.gz')) return readLines(path);
  // What goes wrong in the file or in its compression is thrown to whoever reads.
  return linesOf(
    path,
    pipeline(createReadStream(path), createGunzip(), () => {}),
  );
}

/** Fields that tables hold as text are JSON there; a field that is null is absent. */
const AS_JSON = new Set(['keywords', 'negatives', 'markets', 'languages', 'devices', 'policyFlags', 'vector']);

async function* parquetRows(path: string): AsyncGenerator<BulkRow> {
  for await (const row of readParquet(path)) {
    const { line } = row;
    if ('fault' in row) yield row;
    else {
      try {
        const value = Object.entries(row.value)
          .filter(([, field]) => field !== null && field !== undefined)
          .map(([key, field]) => [key, AS_JSON.has(key) && typeof field === 'string' ? JSON.parse(field) : field]);
        yield { line, value: Object.fromEntries(value) };
      } catch {
        yield { line, fault: `not JSON in one of ${[...AS_JSON].join(', ')}` };
      }
    }
  }
}

/** Bad rows as JSON Lines of `{line, reason}`, on disk before they count. Throws `configuration` where the disk does not take them. */
export function reportFile(path: string): BadRowReport {
  const withFile = async <T>(use: (file: FileHandle) => Promise<T>): Promise<T> => {
    try {
      await using file = await open(path, 'a');
      return await use(file);
    } catch (cause) {
      throw new HarnessError('configuration', `--report: ${path} cannot be written (${(cause as Error).message}).`, {
        cause,
      });
    }
  };
  return {
    cutTo: (bytes) => withFile((file) => file.truncate(bytes)),
    append: (bad) =>
      withFile(async (file) => {
        await file.writeFile(bad.map((row) => `${JSON.stringify(row)}\n`).join(''));
        await file.sync();
        return (await file.stat()).size;
      }),
  };
}
