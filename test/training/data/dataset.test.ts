/** Reading the dataset: bad rows are reported by line, once, counted, and refused above the stated share. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataset } from '../../../training/data/dataset.ts';
import type { BadRow } from '../../../training/data/records.ts';
import { writeSmallMarket } from '../small-market.ts';

let folder: string;
let bad: BadRow[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-dataset-'));
  bad = [];
  await writeSmallMarket(folder);
});
afterEach(() => rm(folder, { recursive: true }));

const open = (maxBadShare: number) => openDataset(folder, { maxBadShare, onBadRow: (row) => bad.push(row) });
const write = (lines: readonly string[]) => writeFile(join(folder, 'text.general.jsonl'), lines.join('\n'));

describe('bad rows', () => {
  it('are skipped below the share, named with line and fault, and told once however often the file is read', async () => {
    await write(['{"text":"a"}', 'nonsense', '', '{"text":7}', '[]', '{"text":"b"}']);
    const dataset = open(0.7);
    for (let pass = 0; pass < 2; pass++)
      expect(await dataset.all('text.general.jsonl')).toEqual([{ text: 'a' }, { text: 'b' }]);
    expect(bad.map(({ line }) => line)).toEqual([2, 4, 5]);
    expect(bad[0]).toMatchObject({ file: join(folder, 'text.general.jsonl'), reason: 'not JSON' });
    expect(bad[1]!.reason).toContain('text: ');
  });

  it('are summed up by file with the first few as examples', async () => {
    await write([...Array.from({ length: 8 }, () => 'x'), '{"text":"a"}', '{"text":"b"}']);
    const dataset = open(0.9);
    await dataset.all('text.general.jsonl');
    await dataset.all('queries.train.jsonl');
    await dataset.all('text.general.jsonl');
    const [summary, ...others] = dataset.badRows();
    expect(others).toEqual([]);
    expect(summary).toMatchObject({ records: 'text.general.jsonl', file: 'text.general.jsonl', rows: 10, bad: 8 });
    expect(summary!.examples).toEqual([1, 2, 3, 4, 5].map((line) => ({ line, reason: 'not JSON' })));
  });

  it('refuse a file above the share, saying how many they are', async () => {
    await write(['{"text":"a"}', 'x', 'y']);
    await expect(open(0.5).all('text.general.jsonl')).rejects.toThrow('2 of 3 rows are bad');
  });

  it('end the reading of a long file early where all is wrong', async () => {
    await write(Array.from({ length: 100_000 }, () => 'x'));
    await expect(open(0.1).all('text.general.jsonl')).rejects.toThrow('rows are bad');
    expect(bad.length).toBe(100);
  });
});

describe('openDataset', () => {
  it('says how to make a dataset that is not there', async () => {
    await rm(join(folder, 'clicks.train.jsonl'));
    expect(() => open(0)).toThrow(/clicks\.train\.jsonl, found none; npm run market/);
  });

  it('reads no rows of optional records that are not there, and says that they are not', async () => {
    await rm(join(folder, 'oracle.train.jsonl'), { force: true });
    const dataset = open(0);
    expect(dataset.has('oracle.train.jsonl')).toBe(false);
    expect(dataset.has('text.general.jsonl')).toBe(true);
    expect(await dataset.all('oracle.train.jsonl')).toEqual([]);
    await writeFile(join(folder, 'oracle.train.jsonl'), '{"queryId":"tr-0","text":"what was meant"}');
    expect(await open(0).all('oracle.train.jsonl')).toEqual([{ queryId: 'tr-0', text: 'what was meant' }]);
  });

  it('names every reading of the data by its digest: bytes, and mapping', async () => {
    const digest = (columns?: Record<string, string>) =>
      openDataset(
        {
          folder,
          ...(columns ? { sources: { 'text.general': { files: join(folder, 'text.general.jsonl'), columns } } } : {}),
        },
        { maxBadShare: 0, onBadRow: () => {} },
      ).digest(['text.general.jsonl']);
    const digests = [await digest(), await digest({ text: 'text' }), await digest({ text: 'gloss' })];
    expect(new Set(digests).size).toBe(3);
    expect(await digest()).toBe(digests[0]);
    await write(['{"text":"other"}']);
    expect(await digest()).not.toBe(digests[0]);
  });
});
