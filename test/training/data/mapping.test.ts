/** Other people's columns as our fields: constants, first of several, tables of values, cut and plain text, and which rows at all. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Column, columnsOf, mapRows, type Source } from '../../../training/data/mapping.ts';
import type { RawRow } from '../../../training/data/records.ts';

const Row = z.object({ id: z.string(), count: z.int(), tags: z.array(z.string()), text: z.string().trim() });
type Value = Record<string, unknown>;

async function map(values: readonly Value[], source: Omit<Source, 'files'>): Promise<RawRow[]> {
  const rows = (async function* () {
    for (const [i, value] of values.entries()) yield { line: i + 1, value };
  })();
  const mapped: RawRow[] = [];
  for await (const row of mapRows(rows, { files: 'x', ...source }, Row)) mapped.push(row);
  return mapped;
}
/** One field of one row. */
async function field(column: Column, value: Value, name = 'text'): Promise<unknown> {
  const [row] = await map([value], { columns: { [name]: column } });
  return 'fault' in row! ? row.fault : row!.value[name];
}

describe('columns', () => {
  it('take a column, a constant, or the first that is not empty', async () => {
    expect(await field('title', { title: 'a' })).toBe('a');
    expect(await field({ constant: ['us'] }, {}, 'tags')).toEqual(['us']);
    expect(await field({ column: ['a', 'b', 'c'] }, { a: null, b: '', c: 'third' })).toBe('third');
    expect(await field({ column: ['a', 'b'], default: 'none' }, { a: null })).toBe('none');
    expect(await field({ column: 'a', default: 'none' }, { a: 0 }, 'count')).toBe(0);
  });

  it('look values up, and name what is not in the table', async () => {
    const grade: Column = { column: 'label', values: { E: 3, I: 0 } };
    expect(await field(grade, { label: 'E' }, 'count')).toBe(3);
    expect(await field(grade, { label: 'I' }, 'count')).toBe(0);
    expect(await field(grade, { label: 'toString' }, 'count')).toBe("label: expected one of E, I, found 'toString'");
  });

  it('fit the type that the field has: numbers as ids, text as numbers and lists', async () => {
    expect(await field('n', { n: 17 }, 'id')).toBe('17');
    expect(await field('n', { n: '17' }, 'count')).toBe(17);
    expect(await field('n', { n: 'many' }, 'count')).toBe('many');
    expect(await field('n', { n: '["a","b"]' }, 'tags')).toEqual(['a', 'b']);
    expect(await field('n', { n: 'a|b' }, 'tags')).toBe('a|b');
  });

  it('take out markup, and cut between words', async () => {
    const plain: Column = { column: 'html', plain: true };
    expect(await field(plain, { html: '<p>Tea &amp; milk,\n<b>two</b>&nbsp;cups &#39;n&#39; saucers</p>' })).toBe(
      "Tea & milk, two cups 'n' saucers",
    );
    expect(await field({ column: ['a', 'b'], plain: true }, { a: '<br>', b: 'text' })).toBe('text');
    const text = fc.string({ unit: 'grapheme', maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 40 }), async (whole, maxLength) => {
        const cut = String((await field({ column: 'text', maxLength, default: '' }, { text: whole })) ?? '');
        expect(whole.startsWith(cut)).toBe(true);
        expect(cut.length).toBeLessThanOrEqual(maxLength);
        expect(cut.isWellFormed()).toBe(true);
      }),
    );
    expect(await field({ column: 'text', maxLength: 12 }, { text: 'warm socks for men' })).toBe('warm socks');
    expect(await field({ column: 'text', maxLength: 10 }, { text: 'warm socks for men' })).toBe('warm socks');
  });
});

describe('rows', () => {
  const values = Array.from({ length: 300 }, (_, i) => ({
    id: i,
    split: i % 3 ? 'train' : 'test',
    query: `query ${i}`,
  }));
  const ids = (rows: readonly RawRow[]) => rows.map((row) => ('value' in row ? row.value.id : row.fault));
  const columns = { id: 'id' };

  it('are those with the values asked for, whether a file knows numbers or text only', async () => {
    expect(ids(await map(values, { columns, where: { split: 'test', id: [3, 4, '6'] } }))).toEqual(['3', '6']);
  });

  it('fall into shares by hash: each row in one, however its text is written, about as many as asked', async () => {
    const of = (from: number, to: number) => map(values, { columns, share: { of: 'query', from, to } }).then(ids);
    const [few, rest] = [await of(0, 0.2), await of(0.2, 1)];
    expect([...few, ...rest].toSorted()).toEqual(values.map(({ id }) => String(id)).toSorted());
    expect(few.length / values.length).toBeGreaterThan(0.12);
    expect(few.length / values.length).toBeLessThan(0.28);
    const written = values.map(({ id }) => ({ id, query: `${id}  QUERY` }));
    expect(ids(await map(written, { columns, share: { of: 'query', from: 0, to: 0.2 } }))).toEqual(few);
  });

  it('that repeat a column are one', async () => {
    const repeated = values.map(({ id }) => ({ id: Math.floor(id / 3) }));
    expect(ids(await map(repeated, { columns, distinct: 'id' }))).toEqual(
      Array.from({ length: 100 }, (_, i) => `${i}`),
    );
  });

  it('that are bad already go on as they are, with their lines', async () => {
    const rows = (async function* (): AsyncGenerator<RawRow> {
      yield { line: 4, fault: 'not JSON' };
    })();
    const mapped: RawRow[] = [];
    for await (const row of mapRows(rows, { files: 'x', columns, where: { split: 'test' } }, Row)) mapped.push(row);
    expect(mapped).toEqual([{ line: 4, fault: 'not JSON' }]);
  });
});

it('knows every column that it will look at', () => {
  const source: Source = {
    files: 'x',
    columns: { a: 'x', b: { column: ['y', 'z'] }, c: { constant: 1 } },
    where: { w: 1 },
    share: { of: 's', from: 0, to: 1 },
    distinct: 'x',
  };
  expect(columnsOf(source)!.toSorted()).toEqual(['s', 'w', 'x', 'y', 'z']);
  expect(columnsOf({ files: 'x' })).toBeUndefined();
});
