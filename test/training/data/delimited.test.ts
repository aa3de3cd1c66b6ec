/** RFC 4180: what was written is what is read, wherever the blocks of the file end; what is broken spoils its own line only. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDelimited } from '../../../training/data/delimited.ts';
import type { RawRow } from '../../../training/data/records.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-delimited-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(text: string | Buffer, { delimiter = ',', columns = [] as string[] } = {}): Promise<RawRow[]> {
  const path = join(folder, 'rows.csv');
  await writeFile(path, text);
  const rows: RawRow[] = [];
  for await (const row of readDelimited(path, { delimiter, columns })) rows.push(row);
  return rows;
}
const values = (rows: readonly RawRow[]) => rows.map((row) => ('value' in row ? Object.values(row.value) : row.fault));
const quoted = (field: string) => `"${field.replaceAll('"', '""')}"`;

describe('readDelimited', () => {
  it('gives back what was written, with either delimiter and either line end', async () => {
    const field = fc.string({ unit: fc.constantFrom('a', 'é', '緑', '"', ',', '\t', '\n', '\r', ' ', '0') });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(field, field, field), { minLength: 1 }),
        fc.constantFrom(',', '\t'),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        async (rows, delimiter, end, closed) => {
          const bare = (text: string) => (/[",\t\n\r]/.test(text) ? quoted(text) : text);
          const lines = [['x', 'y', 'z'], ...rows].map((fields) => fields.map(bare).join(delimiter));
          expect(values(await read(lines.join(end) + (closed ? end : ''), { delimiter }))).toEqual(rows);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does not care where a block of the file ends', async () => {
    const tricky = ['plain', 'with "quotes"', 'two\r\nlines', '緑茶', '', 'a,b'];
    const header = `a,b,c,d,e,f\r\n`;
    const record = `${tricky.map((field, i) => (i === 0 ? field : quoted(field))).join(',')}\r\n`;
    for (let shift = 0; shift < Buffer.byteLength(record); shift++) {
      const padding = `${'p'.repeat((1 << 16) - header.length - 7 - shift)},,,,,\r\n`;
      const rows = await read(header + padding + record + record);
      expect(values(rows).slice(1)).toEqual([tricky, tricky]);
      expect(rows.map(({ line }) => line)).toEqual([2, 3, 5]);
    }
  });

  it('names columns by the header, byte order mark or not, and skips empty lines', async () => {
    const rows = await read('\uFEFFid,name\n\n1,a\n\r\n2,b\n', { columns: ['name', 'id'] });
    expect(rows).toEqual([
      { line: 3, value: { id: '1', name: 'a' } },
      { line: 5, value: { id: '2', name: 'b' } },
    ]);
  });

  it('takes a row of another length, text behind a quote, and a quote that never closes for bad rows, each alone', async () => {
    const rows = await read('x,y\na,b\na\n"a"b,c\n"open,c\nd,"5"" nail"\n"still, open\ne,f');
    expect(rows.map((row) => [row.line, 'fault' in row ? row.fault : Object.values(row.value)])).toEqual([
      [2, ['a', 'b']],
      [3, 'expected 2 fields, found 1'],
      [4, 'text after a closing quote'],
      // The quote of line 5 finds its end in line 6; from there on it is no longer text of a field.
      [5, 'text after a closing quote'],
      [7, 'a quoted field is not closed'],
      [8, ['e', 'f']],
    ]);
  });

  it('lets a stray quote spoil one line of a long file', async () => {
    const long = 'd'.repeat(500);
    const rows = await read(`x,y\n"a,b\n${`c,${long}\n`.repeat(4_000)}`);
    expect(rows[0]).toEqual({ line: 2, fault: 'a quoted field is not closed' });
    expect(rows.length).toBe(4_001);
    expect(rows.at(-1)).toEqual({ line: 4_002, value: { x: 'c', y: long } });
  });

  it('says which column it expected and which there are', async () => {
    await expect(read('id,name\n1,a\n', { columns: ['id', 'title'] })).rejects.toThrow(
      /expected a column 'title', found 'id', 'name'/,
    );
    await expect(read('')).rejects.toThrow('expected a header line');
  });
});
