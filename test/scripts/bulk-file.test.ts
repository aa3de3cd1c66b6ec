/** Files of ads as the bulk load reads them: the same rows whatever the form, and what is no such file said in one line. */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { type BulkFile, openBulkFile, reportFile } from '../../scripts/bulk-file.ts';
import { testFolder } from '../fixtures/folder.ts';

const at = testFolder('bulk-file');

/** Line ends of Unicode that JSON leaves as they are, beside text of more than one byte a character. */
const ADS = [{ id: 'a', title: 'zwei\u2028Zeilen\u2029und\u0085mehr' }, { id: 'b', title: 'größer 🛋' }, { id: 'c' }];
const LINES = `\uFEFF${JSON.stringify(ADS[0])}\r\n\n${JSON.stringify(ADS[1])}\n[1]\n{\n${JSON.stringify(ADS[2])}`;
const ROWS = [
  { line: 1, value: ADS[0] },
  { line: 3, value: ADS[1] },
  { line: 4, fault: 'expected a JSON object' },
  { line: 5, fault: 'not JSON' },
  { line: 6, value: ADS[2] },
];

function written(name: string, bytes: string | Uint8Array): string {
  writeFileSync(at(name), bytes);
  return at(name);
}

async function rowsOf(file: BulkFile) {
  const rows: unknown[] = [];
  for await (const row of file.read()) rows.push(row);
  return rows;
}

describe('rows', () => {
  it.each([
    ['ads.jsonl', LINES],
    ['ads.jsonl.gz', gzipSync(LINES)],
  ])('of %s are its lines, and may be read again', async (name, bytes) => {
    const file = await openBulkFile(written(name, bytes));
    expect(file.rows).toBe(ROWS.length);
    expect(await rowsOf(file)).toEqual(ROWS);
    expect(await rowsOf(file)).toEqual(ROWS);
  });

  it('of a Parquet file are its rows, with JSON in columns of text', async () => {
    const columnData = [
      { name: 'id', data: ['a', 'b'] },
      { name: 'markets', data: ['["us"]', '["us"'] },
      { name: 'description', data: [null, 'x'] },
    ];
    const path = written('ads.parquet', new Uint8Array(parquetWriteBuffer({ columnData })));
    expect(await rowsOf(await openBulkFile(path))).toEqual([
      { line: 1, value: { id: 'a', markets: ['us'] } },
      { line: 2, fault: expect.stringMatching(/^not JSON in one of .*markets/) },
    ]);
  });
});

describe('a file that cannot be read', () => {
  const many = gzipSync(Array.from({ length: 20_000 }, (_, i) => `{"id":"${Math.sin(i)}"}\n`).join(''));
  it.each([
    ['no gzip', 'page.jsonl.gz', '<html>', /incorrect header check$/],
    ['half a download', 'half.jsonl.gz', many.subarray(0, many.length >> 1), /unexpected end of file$/],
    ['no Parquet', 'page.parquet', '<html>', /parquet/],
  ])('%s says which and why', async (_, name, bytes, why) => {
    const opened = openBulkFile(written(name, bytes));
    await expect(opened).rejects.toMatchObject({ code: 'bad_request', message: expect.stringMatching(why) });
    await expect(opened).rejects.toThrow(`${at(name)}: expected .jsonl, .jsonl.gz or .parquet that can be read, got: `);
  });

  it('is told where it is a folder, or not there', async () => {
    await expect(openBulkFile(at('.'))).rejects.toThrow(/got: EISDIR/);
    await expect(openBulkFile(at('none.jsonl.gz'))).rejects.toThrow(/got: ENOENT/);
  });
});

describe('the report of bad rows', () => {
  it('is cut to what counts, then grows', async () => {
    const report = reportFile(at('bad.jsonl'));
    const first = await report.append([{ line: 1, reason: 'größer' }]);
    await report.append([{ line: 2, reason: 'of a run that was killed' }]);
    await report.cutTo(first);
    await report.append([{ line: 3, reason: 'x' }]);
    const lines = readFileSync(at('bad.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).line)).toEqual([1, 3]);
  });

  it('names the option where it cannot be written', async () => {
    const path = at('none/bad.jsonl');
    const message = `--report: ${path} cannot be written (ENOENT: no such file or directory, open '${path}').`;
    await expect(reportFile(path).cutTo(0)).rejects.toMatchObject({ code: 'configuration', message });
  });
});
