/** Clicked pairs: joined as the log says, nothing of validation or test among them, dealt without loss, and dealt once. */
import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataset } from '../../../training/data/dataset.ts';
import { type ClickedQuery, dealPairs } from '../../../training/data/pairs.ts';
import { smallAds, writeSmallMarket } from '../small-market.ts';

let folder: string;
const adIds = smallAds().map(({ id }) => id);
const line = (row: object) => `${JSON.stringify(row)}\n`;
const query = (id: string, text: string) =>
  line({ id, text, market: 'us', frequency: 1, slice: 'interpolation', kind: 'name' });
const click = (queryId: string, adId: string, clicks = 10) => line({ queryId, adId, impressions: 100, clicks });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-pairs-'));
  await writeSmallMarket(folder);
});
afterEach(() => rm(folder, { recursive: true }));

const dataset = () => openDataset(folder, { maxBadShare: 0, onBadRow: () => {} });
const deal = (options: { parts?: number; context?: boolean } = {}) =>
  dealPairs(dataset(), { folder: join(folder, 'pairs'), parts: 4, adIds, ...options });
async function all(options?: Parameters<typeof deal>[0]): Promise<ClickedQuery[]> {
  const { parts } = await deal(options);
  const read = await Promise.all(parts.map((part) => part.read()));
  expect(parts.map(({ rows }) => rows)).toEqual(read.map((rows) => rows.length));
  return read.flat();
}
const sorted = (queries: readonly ClickedQuery[]) => queries.toSorted((a, b) => (a.text < b.text ? -1 : 1));

describe('dealPairs', () => {
  it('loses nothing that reading all at once finds, and spreads it over the parts', async () => {
    const clicks = await dataset().all('clicks.train.jsonl');
    const queries = await dataset().all('queries.train.jsonl');
    const whole = sorted(
      queries.flatMap(({ id, text, market }) => {
        const ads = clicks
          .filter(({ queryId }) => queryId === id)
          .map(({ adId, impressions, clicks: count }) => ({ row: adIds.indexOf(adId), weight: count / impressions }));
        return ads.length === 0 ? [] : [{ text, market, ads }];
      }),
    );
    expect(whole.length).toBeGreaterThan(50);
    expect(sorted(await all())).toEqual(whole);
    expect(sorted(await all({ parts: 1 }))).toEqual(whole);
    for (const { rows } of (await deal()).parts) expect(rows).toBeGreaterThan(whole.length / 16);
  });

  it('weighs ads by clicks an impression, passes over what nobody clicked, and counts ads that are gone', async () => {
    await appendFile(join(folder, 'queries.train.jsonl'), query('q', 'Warm  SOCKS') + query('none', 'never clicked'));
    await appendFile(
      join(folder, 'clicks.train.jsonl'),
      click('q', 'ad-red-sock', 20) +
        click('q', 'ad-blue-sock', 0) +
        click('q', 'ad-gone') +
        click('q', 'ad-red-shoe', 5),
    );
    expect((await all()).find(({ text }) => text === 'warm socks')).toEqual({
      text: 'warm socks',
      market: 'us',
      ads: [
        { row: adIds.indexOf('ad-red-sock'), weight: 0.2 },
        { row: adIds.indexOf('ad-red-shoe'), weight: 0.05 },
      ],
    });
    expect((await all()).map(({ text }) => text)).not.toContain('never clicked');
    expect((await deal()).leftOut).toEqual({ heldOut: 0, unknownAds: 1 });
  });

  it('leaves out validation and test queries, whatever their case and word order', async () => {
    const leaks = ['red socks of men', 'Men of SHOE blue', 'cheap  belts men of'];
    await appendFile(join(folder, 'queries.train.jsonl'), leaks.map((text, i) => query(`leak-${i}`, text)).join(''));
    await appendFile(
      join(folder, 'clicks.train.jsonl'),
      leaks.map((_, i) => click(`leak-${i}`, 'ad-red-sock')).join(''),
    );
    const texts = (await all()).map(({ text }) => text);
    for (const leak of ['red socks of men', 'men of shoe blue', 'cheap belts men of'])
      expect(texts).not.toContain(leak);
    expect((await deal()).leftOut.heldOut).toBe(3);
  });

  it('carries offline context where it is asked for, in whatever order it lies', async () => {
    const context = (i: number) => line({ queryId: `tr-${i}`, text: `meaning\n ${i}` });
    await writeFile(join(folder, 'oracle.train.jsonl'), [99, 3, 0, 41].map(context).join(''));
    const withContext = await all({ context: true });
    expect(withContext.filter(({ context: text }) => text !== undefined).length).toBeGreaterThan(0);
    expect(withContext.find(({ text }) => text === 'sock red sock')?.context).toBe('meaning 0');
    expect((await all()).every((pair) => !('context' in pair))).toBe(true);
  });

  it('deals the same data once, and other data anew', async () => {
    const times = async () => {
      const [own, ...others] = await readdir(join(folder, 'pairs'));
      expect(others).toEqual([]);
      const files = await readdir(join(folder, 'pairs', own!));
      expect(files.toSorted()).toEqual(['0.jsonl', '1.jsonl', '2.jsonl', '3.jsonl', 'dealt.json']);
      return Promise.all(files.map(async (file) => (await stat(join(folder, 'pairs', own!, file))).ino));
    };
    const first = await all();
    const written = await times();
    expect(await all()).toEqual(first);
    expect(await times()).toEqual(written);
    await appendFile(join(folder, 'clicks.train.jsonl'), click('tr-0', 'ad-blue-belt'));
    expect(await all()).not.toEqual(first);
  });
});
