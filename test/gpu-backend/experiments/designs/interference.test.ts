/** Designs against interference, in a market whose truth is known: what all users in treatment bring over all in control. */
import { beforeAll, describe, expect, it } from 'vitest';
import { budgetSplitDay, half, paid, switchbackDay } from '../../../../bench/experiments/designs.ts';
import { createInterferenceMarket, RECOVERING } from '../../../../bench/interference-market.ts';
import { isSettled, type Side, sideAt } from '../../../../shared/switchback.ts';

const HOUR_MS = 3_600_000;
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const over = <T>(runs: number, run: (seed: number) => T) => Array.from({ length: runs }, (_, seed) => run(seed));

describe('budget split', () => {
  const market = createInterferenceMarket({ seed: 1, campaigns: 60, purseMicros: 3_000_000, refillMicrosPerMs: 0 });
  const day = { users: 800, queries: 2_000, durationMs: 24 * HOUR_MS };
  let truth = 0;
  beforeAll(() => {
    const all = (side: Side) => mean(over(4, (seed) => paid(market.run({ ...day, seed, sideOf: () => side }))));
    truth = all(1) - all(0);
  });

  it('finds the truth, which an ordinary split misses by far', () => {
    const naive = over(3, (seed) => {
      const charges = market.run({ ...day, seed, sideOf: half });
      return 2 * (paid(charges, 1) - paid(charges, 0));
    });
    for (const estimate of naive) expect(estimate).toBeGreaterThan(1.5 * truth);

    const found = over(8, (seed) => budgetSplitDay(market, { ...day, seed }));
    expect(Math.abs(mean(found.map(({ absolute }) => absolute)) / truth - 1)).toBeLessThan(0.04);
    const covered = found.filter(({ interval: [low, high] }) => low <= truth && truth <= high);
    expect(covered.length).toBeGreaterThanOrEqual(7);
  });
});

describe('switchback', () => {
  const design = { key: 'test', windowMs: HOUR_MS, washoutMs: HOUR_MS / 2 };

  it('gives each block both arms, in an order that a hash draws', () => {
    let treatedFirst = 0;
    for (let block = 0; block < 2_000; block++) {
      const [first, second] = [0, 1].map((i) => sideAt(design, (2 * block + i) * HOUR_MS + 17));
      expect(first! + second!).toBe(1);
      treatedFirst += first!;
    }
    expect(Math.abs(treatedFirst - 1_000)).toBeLessThan(3 * Math.sqrt(500));
    expect([0, 0.4, 0.5, 0.9].map((part) => isSettled(design, (5 + part) * HOUR_MS))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it('finds the truth once the washout is as long as what an arm leaves behind', () => {
    const market = createInterferenceMarket(RECOVERING);
    const day = { users: 800, queries: 8_000, durationMs: 24 * HOUR_MS };
    const fromMs = 4 * HOUR_MS;
    // Full purses at midnight are a start that no launch would see again.
    const settled = (side: Side) => (seed: number) =>
      paid(market.run({ ...day, seed, sideOf: () => side }).filter(({ atMs }) => atMs >= fromMs));
    const truthAnHour = (mean(over(2, settled(1))) - mean(over(2, settled(0)))) / 20;
    const analysed = (windowMinutes: number, washoutMinutes: number) =>
      over(5, (seed) => switchbackDay(market, { ...day, seed, windowMinutes, washoutMinutes, fromMs }));
    const [washed, raw] = [analysed(120, 60), analysed(60, 0)];
    const shareOfTruth = (found: typeof washed) => mean(found.map(({ absolute }) => absolute)) / truthAnHour;
    expect(shareOfTruth(raw)).toBeGreaterThan(1.15);
    expect(Math.abs(shareOfTruth(washed) - 1)).toBeLessThan(0.12);
    const covered = washed.filter(({ interval: [low, high] }) => low <= truthAnHour && truthAnHour <= high);
    expect(covered.length).toBeGreaterThanOrEqual(4);
  });
});
