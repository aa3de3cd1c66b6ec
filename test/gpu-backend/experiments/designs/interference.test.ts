/** Designs against interference, in a market whose truth is known: what all users in treatment bring over all in control. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Charge, createInterferenceMarket, RECOVERING } from '../../../../bench/interference-market.ts';
import { analyseBudgetSplit, splitBudget } from '../../../../gpu-backend/experiments/designs/budget-split.ts';
import { comparePairs } from '../../../../gpu-backend/experiments/designs/paired-clusters.ts';
import { analyseSwitchback } from '../../../../gpu-backend/experiments/designs/switchback.ts';
import { hash32 } from '../../../../shared/experiment.ts';
import { isSettled, type Side, sideAt } from '../../../../shared/switchback.ts';
import golden from '../../../golden/experiment-checks.json' with { type: 'json' };
import { expectClose } from '../golden.ts';

const HOUR_MS = 3_600_000;
const paid = (charges: readonly Charge[], side?: Side) =>
  charges.reduce((sum, charge) => sum + (side === undefined || charge.side === side ? charge.micros : 0), 0);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const over = <T>(runs: number, run: (seed: number) => T) => Array.from({ length: runs }, (_, seed) => run(seed));
const half = (user: string) => (hash32(`half:${user}`) >>> 31) as Side;

describe('paired clusters', () => {
  it.each(golden.paired)('as scipy has it: $absolute', ({ control, treatment, absolute, interval, pValue }) => {
    const found = comparePairs(
      control.map((c, i) => ({ control: c, treatment: treatment[i]! })),
      0.95,
    )!;
    expectClose(found.absolute, absolute);
    for (const [i, end] of interval.entries()) expectClose(found.interval[i], end);
    expectClose(found.pValue, pValue);
    expect(found.clusters).toBe(control.length);
  });

  it('say nothing where there is nothing to infer from', () => {
    expect(comparePairs([{ control: 1, treatment: 2 }], 0.95)).toBeUndefined();
    expect(comparePairs(Array(5).fill({ control: 1, treatment: 1 }), 0.95)).toBeUndefined();
  });
});

describe('budget split', () => {
  it('deals every micro of a budget, in the shares', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(fc.nat(1e12), weights, (budget, list) => {
        const parts = splitBudget(
          budget,
          list.map((weight, i) => ({ key: `${i}`, weight })),
        );
        const total = list.reduce((a, b) => a + b, 0);
        expect([...parts.values()].reduce((a, b) => a + b, 0)).toBe(budget);
        for (const [i, weight] of list.entries())
          expect(Math.abs(parts.get(`${i}`)! - (budget * weight) / total)).toBeLessThanOrEqual(1);
      }),
      { seed: 2 },
    );
  });

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

    const found = over(8, (seed) => {
      const charges = market.run({ ...day, seed, sideOf: half, purseOf: (side) => ({ name: `${side}`, share: 0.5 }) });
      const campaigns = Array.from({ length: market.campaigns }, (_, id) => {
        const own = charges.filter(({ campaign }) => campaign === id);
        return { campaignId: `${id}`, control: paid(own, 0), treatment: paid(own, 1) };
      });
      return analyseBudgetSplit(campaigns, { shares: { control: 0.5, treatment: 0.5 }, confidence: 0.95 })!;
    });
    const totals = found.map(({ absolute, clusters }) => absolute * clusters);
    expect(Math.abs(mean(totals) / truth - 1)).toBeLessThan(0.04);
    const covered = found.filter(
      ({ interval: [low, high], clusters }) => low * clusters <= truth && truth <= high * clusters,
    );
    expect(covered.length).toBeGreaterThanOrEqual(7);
  });

  it('refuses shares that are none', () => {
    expect(() => analyseBudgetSplit([], { shares: { control: 0, treatment: 1 }, confidence: 0.95 })).toThrow(/shares/);
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

  const market = createInterferenceMarket(RECOVERING);
  const day = { users: 800, queries: 8_000, durationMs: 24 * HOUR_MS };
  const span = { fromMs: 4 * HOUR_MS, toMs: 24 * HOUR_MS, confidence: 0.95 };
  const analysed = (seed: number, { windowMs, washoutMs }: { windowMs: number; washoutMs: number }) => {
    const drawn = { key: `${seed}`, windowMs, washoutMs };
    const charges = market.run({ ...day, seed, sideOf: (_, atMs) => sideAt(drawn, atMs) });
    const occurrences = charges.map(({ atMs, micros }) => ({ atMs, value: micros }));
    return { ...drawn, occurrences, found: analyseSwitchback(drawn, occurrences, span)! };
  };

  it('finds the truth once the washout is as long as what an arm leaves behind', () => {
    // Full purses at midnight are a start that no launch would see again.
    const settled = (side: Side) => (seed: number) =>
      paid(market.run({ ...day, seed, sideOf: () => side }).filter(({ atMs }) => atMs >= span.fromMs));
    const truthAnHour = (mean(over(2, settled(1))) - mean(over(2, settled(0)))) / 20;
    const runs = over(5, (seed) => ({
      washed: analysed(seed, { windowMs: 2 * HOUR_MS, washoutMs: HOUR_MS }).found,
      raw: analysed(seed, { windowMs: HOUR_MS, washoutMs: 0 }).found,
    }));
    const washed = mean(runs.map(({ washed: { absolute } }) => absolute));
    const raw = mean(runs.map((run) => run.raw.absolute));
    expect(raw / truthAnHour).toBeGreaterThan(1.15);
    expect(Math.abs(washed / truthAnHour - 1)).toBeLessThan(0.12);
    const covered = runs.filter(({ washed: { interval } }) => interval[0] <= truthAnHour && truthAnHour <= interval[1]);
    expect(covered.length).toBeGreaterThanOrEqual(4);
  });

  it('leaves out blocks that the span cuts, and refuses a washout that leaves nothing', () => {
    const { occurrences, found, ...drawn } = analysed(0, { windowMs: HOUR_MS, washoutMs: 0 });
    expect(found.clusters).toBe(10);
    const cut = analyseSwitchback(drawn, occurrences, { ...span, fromMs: span.fromMs + 1, toMs: 23.9 * HOUR_MS })!;
    expect(cut.clusters).toBe(8);
    expect(() => analyseSwitchback({ ...drawn, washoutMs: HOUR_MS }, [], span)).toThrow(/washoutMs/);
  });
});
