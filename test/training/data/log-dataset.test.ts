import { describe, expect, it } from 'vitest';
import { type LogPart, partOf, queryRecords, type ShownAd } from '../../../training/data/log-dataset.ts';

const booked = new Set(['known', 'first', 'last', 'moved', 'below', 'best', 'good', 'once', 'weak', 'vain', 'unseen']);
const OPTIONS = { examination: [1, 0.5, 0.25], heldOut: 0.4, looksForNo: 2, trainedAds: new Set(['known']), booked };
/** A query that is dealt to the part. */
const asked = (part: LogPart) =>
  Array.from({ length: 100 }, (_, i) => `query ${i}`).find((query) => partOf(query, OPTIONS.heldOut) === part)!;

const shown = (part: LogPart, change: Partial<ShownAd>): ShownAd => ({
  ...{ market: 'us', query: asked(part), part, adId: 'known', position: 1, shown: 10, clicks: 0, searches: 12 },
  ...change,
});

describe('a training query', () => {
  it('counts an ad by the looks at its places, so that a click far down weighs more', () => {
    const records = queryRecords(
      [
        shown('train', { adId: 'first', position: 1, shown: 8, clicks: 2 }),
        shown('train', { adId: 'last', position: 3, shown: 8, clicks: 2 }),
        shown('train', { adId: 'moved', position: 1, shown: 3, clicks: 1 }),
        shown('train', { adId: 'moved', position: 2, shown: 4, clicks: 0 }),
        shown('train', { adId: 'below', position: 9, shown: 4, clicks: 0 }),
      ],
      OPTIONS,
    )!;
    expect(records.query).toEqual({
      ...{ id: `us ${asked('train')}`, text: asked('train'), market: 'us', frequency: 12 },
      ...{ slice: 'interpolation', kind: 'log' },
    });
    expect(records.clicks.map(({ adId, impressions, clicks }) => [adId, impressions, clicks])).toEqual([
      ['first', 8, 2],
      ['last', 2, 2],
      ['moved', 5, 1],
      ['below', 1, 0],
    ]);
    expect(records.qrels).toEqual([]);
  });

  it('is of the training window only, and needs no click', () => {
    expect(queryRecords([shown('train', { part: 'test', clicks: 3 })], OPTIONS)).toBeUndefined();
    expect(queryRecords([shown('train', {})], OPTIONS)?.part).toBe('train');
  });
});

describe('a held-out query', () => {
  it('is graded by clicks in its own window: as good as the best, clicked, looked at in vain', () => {
    const row = (adId: string, change: Partial<ShownAd>) => shown('test', { adId, ...change });
    const records = queryRecords(
      [
        row('best', { shown: 10, clicks: 5 }),
        row('good', { position: 2, shown: 10, clicks: 2 }),
        row('once', { position: 3, shown: 4, clicks: 1 }),
        row('weak', { shown: 10, clicks: 2 }),
        row('vain', { shown: 2 }),
        row('unseen', { position: 3, shown: 4 }),
        row('removed since', { shown: 10, clicks: 9 }),
        row('vain', { part: 'train', clicks: 9 }),
      ],
      OPTIONS,
    )!;
    expect(Object.fromEntries(records.qrels.map(({ adId, grade }) => [adId, grade]))).toEqual({
      ...{ best: 3, good: 2, once: 2, weak: 2, vain: 0 },
    });
    expect(records.clicks).toEqual([]);
    expect(records.query.slice).toBe('extrapolation');
  });

  it('is about something known when one of its clicked ads was clicked in training', () => {
    expect(queryRecords([shown('validation', { clicks: 1 })], OPTIONS)?.query.slice).toBe('interpolation');
  });

  it('without a click, or asked only before its window, gives nothing', () => {
    expect(queryRecords([shown('test', {})], OPTIONS)).toBeUndefined();
    expect(queryRecords([shown('test', { adId: 'removed since', clicks: 3 })], OPTIONS)).toBeUndefined();
    expect(queryRecords([shown('test', { part: 'train', clicks: 3 })], OPTIONS)).toBeUndefined();
  });
});

describe('the parts', () => {
  it('hold out about the share asked for, half for each, every word order in the same', () => {
    const counts = { train: 0, validation: 0, test: 0 };
    for (let i = 0; i < 4_000; i++) counts[partOf(`red shoe ${i}`, 0.2)]++;
    expect(Math.abs(counts.validation - 400)).toBeLessThan(80);
    expect(Math.abs(counts.test - 400)).toBeLessThan(80);
    for (let i = 0; i < 50; i++) expect(partOf(`${i} shoe red`, 0.2)).toBe(partOf(`red shoe ${i}`, 0.2));
  });
});
