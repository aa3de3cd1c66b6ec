/** The training mix: nothing of validation or test in it, the share of general text as asked, normalised, the same each time. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from '../../../training/data/dataset.ts';
import type { DatasetFolder } from '../../../training/data/records.ts';
import { type Mixed, mixedTexts } from '../../../training/data/texts.ts';
import { writeSmallMarket } from '../small-market.ts';

let folder: string;
let dataset: DatasetFolder;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-mix-'));
  await writeSmallMarket(folder);
  const general = Array.from({ length: 1000 }, (_, i) => `General  TEXT ${i}`);
  // Two of them are test queries in another order, or written otherwise.
  general.push('men of socks red', 'Blue BELTS of men');
  await writeFile(join(folder, 'text.general.jsonl'), general.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  dataset = openDataset(folder, { maxBadShare: 0, onBadRow: () => {} });
});
afterAll(() => rm(folder, { recursive: true }));

async function mix(generalShare: number, seed = 1): Promise<{ texts: string[]; mixed: Mixed }> {
  const texts: string[] = [];
  let mixed: Mixed | undefined;
  const onMixed = (told: Mixed) => {
    mixed = told;
  };
  const options = { seed, generalShare, context: false, maxUnmatched: 0, onMixed };
  for await (const { text } of mixedTexts(dataset, options)) texts.push(text);
  return { texts, mixed: mixed! };
}

describe('mixedTexts', () => {
  it('leaves out validation and test queries, whatever their order and case, and counts them', async () => {
    const { texts, mixed } = await mix(0.95);
    expect(texts).not.toContain('men of socks red');
    expect(texts).not.toContain('blue belts of men');
    expect(mixed.heldOut).toBe(2);
  });

  it('mixes in the share asked for, normalised', async () => {
    const { texts } = await mix(0.6);
    const general = texts.filter((text) => text.startsWith('general text '));
    expect(texts.length - general.length).toBe(100);
    expect(general.length / texts.length).toBeCloseTo(0.6, 1);
    expect((await mix(0)).texts).toHaveLength(100);
  });

  it('tells how much general text is asked for, and how much there is', async () => {
    expect((await mix(0.6)).mixed.general).toEqual({ available: 1002, wanted: 150 });
    expect((await mix(0)).mixed.general.wanted).toBe(0);
  });

  it('is the same for the same seed only', async () => {
    expect((await mix(0.5)).texts).toEqual((await mix(0.5)).texts);
    expect((await mix(0.5, 2)).texts).not.toEqual((await mix(0.5)).texts);
  });
});
