/**
 * Parquet as raw rows, streamed: memory holds the compressed bytes of one row group's needed columns and some thousand decoded rows.
 * Decoding is hyparquet's, with all codecs of hyparquet-compressors.
 */
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  cachedAsyncBuffer,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { HarnessError } from '../../shared/problem.ts';
import { requireColumns } from './delimited.ts';
import type { RawRow } from './records.ts';

/** Rows decoded at a time: files often hold all their rows in one group. */
const WINDOW = 1 << 14;

/** As JSON would say it: 64-bit integers as numbers where those are exact and as text elsewhere, times as ISO 8601. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value))
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
  return value;
}

const damaged = (path: string, place: string, cause: unknown): HarnessError =>
  new HarnessError(
    'bad_request',
    `${path}: expected a Parquet file, found ${place} damaged: ${(cause as Error).message.split('\n')[0]}`,
    { cause },
  );

async function openFile(path: string) {
  try {
    const file: AsyncBuffer = await asyncBufferFromFile(path);
    return { file, metadata: await parquetMetadataAsync(file) };
  } catch (cause) {
    throw damaged(path, 'its footer', cause);
  }
}

/** Rows by column name. @param columns Those to read; all where absent. @throws HarnessError where the file is damaged or lacks one. */
export async function* readParquet(
  path: string,
  { columns }: { columns?: readonly string[] } = {},
): AsyncGenerator<RawRow> {
  const { file, metadata } = await openFile(path);
  const found = parquetSchema(metadata).children.map(({ element }) => element.name);
  requireColumns(path, { wanted: columns ?? [], found });
  const wanted = [...(columns ?? found)];
  let start = 0;
  for (const [group, { num_rows }] of metadata.row_groups.entries()) {
    const end = start + Number(num_rows);
    // The group's bytes are read once for all its windows, and let go with it.
    const bytes = cachedAsyncBuffer(file);
    for (; start < end; start += WINDOW) {
      const range = { rowStart: start, rowEnd: Math.min(start + WINDOW, end) };
      let rows: Record<string, unknown>[];
      try {
        rows = await parquetReadObjects({ file: bytes, metadata, columns: wanted, compressors, ...range });
      } catch (cause) {
        throw damaged(path, `row group ${group + 1}`, cause);
      }
      for (const [i, row] of rows.entries())
        yield { line: range.rowStart + i + 1, value: plain(row) as Record<string, unknown> };
    }
    start = end;
  }
}
