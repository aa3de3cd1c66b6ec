/** Parquet as rows: every type as JSON would say it, in all codecs, window by window; damage is an error of one line. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readParquet } from '../../../training/data/parquet.ts';
import type { RawRow } from '../../../training/data/records.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-parquet-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(bytes: Uint8Array | string, options = {}): Promise<RawRow[]> {
  const path = join(folder, 'rows.parquet');
  await writeFile(path, bytes);
  const rows: RawRow[] = [];
  for await (const row of readParquet(path, options)) rows.push(row);
  return rows;
}
const written = (options: Parameters<typeof parquetWriteBuffer>[0]) => new Uint8Array(parquetWriteBuffer(options));

/** Rows enough for several windows and pages, some of them null. */
const COUNT = 40_000;
const texts = Array.from({ length: COUNT }, (_, i) => (i % 7 === 0 ? null : `text number ${i}`));
const many = (options: object = {}) =>
  written({
    columnData: [
      { name: 'id', type: 'INT64', data: texts.map((_, i) => BigInt(i)) },
      { name: 'text', type: 'STRING', data: texts },
    ],
    pageSize: 10_000,
    ...options,
  });

describe('readParquet', () => {
  it('says values as JSON would: integers that fit as numbers, others as text, times as ISO 8601', async () => {
    const bytes = written({
      columnData: [
        { name: 'id', type: 'INT64', data: [7n, -1n, 2n ** 60n] },
        { name: 'score', type: 'DOUBLE', data: [0.5, null, 2] },
        { name: 'active', type: 'BOOLEAN', data: [true, false, null] },
        { name: 'at', type: 'TIMESTAMP', data: [new Date(0), null, new Date(1_700_000_000_000)] },
        { name: 'tags', type: 'JSON', data: [['a', 'b'], [], null] },
      ],
    });
    expect(await read(bytes)).toEqual([
      { line: 1, value: { id: 7, score: 0.5, active: true, at: '1970-01-01T00:00:00.000Z', tags: ['a', 'b'] } },
      { line: 2, value: { id: -1, score: null, active: false, at: null, tags: [] } },
      {
        line: 3,
        value: { id: '1152921504606846976', score: 2, active: null, at: '2023-11-14T22:13:20.000Z', tags: null },
      },
    ]);
  });

  it.each([
    ['one row group', COUNT],
    ['groups that are no multiple of a window', [17, 20_011]],
    ['many groups', 1_000],
  ])('gives every row once and in order: %s', async (_, rowGroupSize) => {
    const rows = await read(many({ rowGroupSize }));
    expect(rows).toEqual(texts.map((text, i) => ({ line: i + 1, value: { id: i, text: text ?? null } })));
  });

  it.each([
    ['GZIP', (bytes: Uint8Array) => gzipSync(bytes)],
    ['ZSTD', (bytes: Uint8Array) => zstdCompressSync(bytes)],
    ['BROTLI', (bytes: Uint8Array) => brotliCompressSync(bytes, { params: { 1: 1 } })],
  ] as const)('reads %s', async (codec, compress) => {
    const rows = await read(many({ codec, compressors: { [codec]: compress } }));
    expect(rows.length).toBe(COUNT);
    expect(rows.at(-1)).toEqual({ line: COUNT, value: { id: COUNT - 1, text: texts.at(-1) } });
  });

  it('reads the asked columns only, and says which one is not there', async () => {
    expect((await read(many(), { columns: ['text'] }))[1]).toEqual({ line: 2, value: { text: 'text number 1' } });
    await expect(read(many(), { columns: ['text', 'title'] })).rejects.toThrow(
      /expected a column 'title', found 'id', 'text'/,
    );
  });

  it('reports damage in one line: the file, the place, the fault', async () => {
    const bytes = many({ rowGroupSize: 1_000 });
    const noise = bytes.slice();
    noise.fill(0xff, 20_000, 40_000);
    const cases = [
      ['this is no Parquet file', 'its footer'],
      ['', 'its footer'],
      [bytes.subarray(0, bytes.length / 2), 'its footer'],
      [noise, 'row group'],
    ] as const;
    for (const [content, place] of cases) {
      const error: Error = await read(content).then(
        () => expect.unreachable(`${place} was read`),
        (reason) => reason,
      );
      expect(error.message).toMatch(
        new RegExp(`^/.*rows\\.parquet: expected a Parquet file, found ${place}.* damaged: .+$`),
      );
    }
  });
});
