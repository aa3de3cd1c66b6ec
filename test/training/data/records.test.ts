/** Reading the dataset: bad rows are reported by line, and refused above the stated share. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BadRow, openDataset, readRows, TextRow } from '../../../training/data/records.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-records-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function read(lines: readonly string[], maxBadShare: number): Promise<{ texts: string[]; bad: BadRow[] }> {
  const path = join(folder, 'rows.jsonl');
  await writeFile(path, lines.join('\n'));
  const bad: BadRow[] = [];
  const texts: string[] = [];
  for await (const { text } of readRows(path, TextRow, { maxBadShare, onBadRow: (row) => bad.push(row) }))
    texts.push(text);
  return { texts, bad };
}

describe('readRows', () => {
  it('skips bad rows below the share and names their lines and faults', async () => {
    const { texts, bad } = await read(['{"text":"a"}', 'nonsense', '', '{"text":7}', '{"text":"b"}'], 0.5);
    expect(texts).toEqual(['a', 'b']);
    expect(bad.map(({ line }) => line)).toEqual([2, 4]);
    expect(bad[0]!.reason).toBe('not JSON');
    expect(bad[1]!.reason).toContain('text');
  });

  it('refuses a file above the share, saying how many rows are bad', async () => {
    await expect(read(['{"text":"a"}', 'x', 'y'], 0.5)).rejects.toThrow('2 of 3 rows are bad');
  });

  it('gives up early on a long file that is all wrong', async () => {
    const bad: BadRow[] = [];
    const path = join(folder, 'rows.jsonl');
    await writeFile(path, 'x\n'.repeat(100_000));
    const reading = (async () => {
      for await (const _ of readRows(path, TextRow, { maxBadShare: 0.1, onBadRow: (row) => bad.push(row) }));
    })();
    await expect(reading).rejects.toThrow('rows are bad');
    expect(bad.length).toBeLessThanOrEqual(100);
  });
});

it('says how to make a dataset that is not there', () => {
  expect(() => openDataset(folder, { maxBadShare: 0, onBadRow: () => {} })).toThrow('npm run market');
});
