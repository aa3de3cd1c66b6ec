/** The published files of ESCI and WANDS, as invented small ones in the same schemas, read end to end: records, pairs, judged queries. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DatasetSettings, openDataset } from '../../../../training/data/dataset.ts';
import { dealPairs } from '../../../../training/data/pairs.ts';
import { esci } from '../../../../training/data/presets/esci.ts';
import { wands } from '../../../../training/data/presets/wands.ts';
import type { BadRow, DatasetFolder } from '../../../../training/data/records.ts';
import { judgedQueries } from '../../../../training/evaluate/market.ts';

const FIXTURES = resolve(import.meta.dirname, '../../../fixtures');
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'harness-presets-'));
});
afterAll(() => rm(scratch, { recursive: true }));

function open(settings: DatasetSettings): { dataset: DatasetFolder; bad: BadRow[] } {
  const bad: BadRow[] = [];
  return { dataset: openDataset(settings, { maxBadShare: 0.2, onBadRow: (row) => bad.push(row) }), bad };
}
const texts = async (dataset: DatasetFolder, split: 'train' | 'validation' | 'test') =>
  (await dataset.all(`queries.${split}.jsonl`)).map(({ text }) => text);

describe('esci', () => {
  const folder = join(FIXTURES, 'esci');
  const settings = { folder, sources: esci({ folder, validationShare: 0.2 }) };

  it('makes products of the locale ads: plain text of the length that an ad may have, and nothing invented', async () => {
    const { dataset, bad } = open(settings);
    const ads = await dataset.all('catalogue.jsonl');
    expect(ads.map(({ id }) => id)).toEqual(
      ['KET01', 'KET02', 'MUG01', 'MUG02', 'LAM01', 'LAM02', 'TEA01'].map((id) => `B0000${id}`),
    );
    expect(ads[0]).toMatchObject({
      title: 'Brimmel Kettle Electric 1.7 L with Keep Warm Function, Stainless Steel Body, Boil Dry',
      description: 'Boils a litre in two minutes. Tea & coffee.',
      keywords: [],
      markets: ['us'],
      status: 'active',
    });
    expect(ads[1]!.description).toBe('Whistles when ready Fits gas and induction');
    expect(ads[2]!.description).toBe('');
    expect(new Set(ads.map(({ bidMicros }) => bidMicros)).size).toBe(1);
    expect(bad.map(({ line }) => line)).toEqual([8]);
    expect(dataset.badRows()).toMatchObject([{ records: 'catalogue.jsonl', rows: 8, bad: 1 }]);
  });

  it('splits as published, validation out of train alone, each query once', async () => {
    const { dataset } = open(settings);
    const [train, validation, test] = [
      await texts(dataset, 'train'),
      await texts(dataset, 'validation'),
      await texts(dataset, 'test'),
    ];
    expect(test).toEqual(['electric kettle', 'set of mugs']);
    expect(validation.length).toBeGreaterThan(0);
    expect(train.length).toBeGreaterThan(validation.length);
    // 'mugs dishwasher safe' is in the large version only; two queries are of other locales.
    expect([...train, ...validation].toSorted()).toEqual([
      'green mug',
      'kettle with temperature light',
      'lamp for reading',
      'linen lampshade',
      'mugs of set',
      'nothing that we sell',
      'sencha tea bags',
      'whistling kettle',
    ]);
    const large = open({ folder, sources: esci({ folder, version: 'large' }) }).dataset;
    expect([...(await texts(large, 'train')), ...(await texts(large, 'validation'))]).toContain('mugs dishwasher safe');
    expect(await texts(open({ folder, sources: esci({ folder, locale: 'jp' }) }).dataset, 'test')).toEqual(['緑茶']);
  });

  it('grades labels, and takes Exact for clicked: never of a validation or test query', async () => {
    const { dataset } = open(settings);
    const grades = (await dataset.all('qrels.test.jsonl')).filter(({ queryId }) => queryId === '201');
    expect(grades.map(({ grade }) => grade)).toEqual([3, 2, 1, 0]);
    const trained = new Set((await dataset.all('queries.train.jsonl')).map(({ id }) => id));
    const clicks = await dataset.all('clicks.train.jsonl');
    expect(clicks.every(({ queryId }) => trained.has(queryId))).toBe(true);
    const judged = new Set((await dataset.all('qrels.validation.jsonl')).map(({ queryId }) => queryId));
    expect(judged).toEqual(new Set((await dataset.all('queries.validation.jsonl')).map(({ id }) => id)));

    const ads = await dataset.all('catalogue.jsonl');
    const adIds = ads.map(({ id }) => id);
    const { parts, leftOut } = await dealPairs(dataset, { folder: join(scratch, 'esci'), parts: 2, adIds });
    const pairs = (await Promise.all(parts.map((part) => part.read()))).flat();
    expect(leftOut).toEqual({ heldOut: 1, unknownAds: 0 });
    expect(pairs.map(({ text }) => text)).not.toContain('mugs of set');
    expect(pairs.find(({ text }) => text === 'green mug')).toEqual({
      text: 'green mug',
      market: 'us',
      ads: [{ row: adIds.indexOf('B0000MUG01'), weight: 1 }],
    });
  });

  it('ranks judged queries, and takes files that the folder has beside the published ones', async () => {
    const own = join(scratch, 'esci-with-text');
    await cp(folder, own, { recursive: true });
    await writeFile(join(own, 'text.general.jsonl'), '{"text":"a text about anything"}\n');
    const { dataset } = open({ folder: own, preset: 'esci' });
    expect(await dataset.all('text.general.jsonl')).toEqual([{ text: 'a text about anything' }]);
    const { queries, withoutRelevant } = await judgedQueries(dataset, 'test');
    expect(withoutRelevant).toBe(0);
    expect(queries.map(({ normalized, judgements }) => [normalized, Object.fromEntries(judgements)])).toEqual([
      ['electric kettle', { B0000KET01: 3, B0000KET02: 2, B0000TEA01: 1, B0000LAM02: 0 }],
      ['set of mugs', { B0000MUG02: 3, B0000MUG01: 2 }],
    ]);
    expect(open(settings).dataset.has('text.general.jsonl')).toBe(false);
  });
});

describe('wands', () => {
  const folder = join(FIXTURES, 'wands');
  const settings = { folder, sources: wands({ folder, testShare: 0.3, validationShare: 0.3 }) };

  it('makes products ads, whatever quotes and line breaks their text has', async () => {
    const { dataset, bad } = open(settings);
    const ads = await dataset.all('catalogue.jsonl');
    expect(bad).toEqual([]);
    expect(ads.map(({ id }) => id)).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(ads[1]).toMatchObject({ title: 'tarrow 36" round mirror', description: 'Wall & Accent Mirrors' });
    expect(ads[2]!.description).toBe('woven by hand . soft under foot ; "sheds" a little at first .');
    expect(ads[3]!.description).toMatch(/^a stool .{100,} in four$/);
  });

  it('deals queries and their labels to the same splits', async () => {
    const { dataset } = open({ folder, preset: 'wands' });
    const ids = async (split: 'train' | 'validation' | 'test') =>
      (await dataset.all(`queries.${split}.jsonl`)).map(({ id }) => id);
    const splits = { train: await ids('train'), validation: await ids('validation'), test: await ids('test') };
    const dealt = Object.values(splits).flat().map(Number);
    expect(dealt.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 9, 11]);
    const rows = {
      train: await dataset.all('clicks.train.jsonl'),
      validation: await dataset.all('qrels.validation.jsonl'),
      test: await dataset.all('qrels.test.jsonl'),
    };
    expect(Object.values(rows).flat().length).toBe(18);
    for (const split of ['train', 'validation', 'test'] as const)
      expect(new Set(rows[split].map(({ queryId }) => queryId))).toEqual(new Set(splits[split]));
  });

  it('counts Exact alone as relevant and clicked; Partial has a grade between', async () => {
    const { dataset } = open({ folder, sources: wands({ folder, testShare: 1, validationShare: 0 }) });
    const { queries, withoutRelevant } = await judgedQueries(dataset, 'test');
    expect(withoutRelevant).toBe(1);
    const stools = queries.find(({ text }) => text === 'counter stools with back');
    expect(Object.fromEntries(stools!.judgements)).toEqual({ 3: 3, 4: 1 });
    expect(queries.map(({ text }) => text)).not.toContain('entry way furniture');
    const { dataset: trained } = open({ folder, sources: wands({ folder, testShare: 0, validationShare: 0 }) });
    const clicks = await trained.all('clicks.train.jsonl');
    expect(clicks.filter(({ queryId }) => queryId === '3').map(({ clicks: count }) => count)).toEqual([1, 0]);
  });
});
