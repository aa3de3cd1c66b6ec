import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HedgeBudget, LatencyQuantile } from '../../../edge/resilience/hedge.ts';

it('second calls are never more than their share of the first, nor more than the most at once', () => {
  const share = fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100);
  fc.assert(
    fc.property(
      share,
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.boolean(), { maxLength: 500 }),
      (part, most, wants) => {
        const budget = new HedgeBudget({ share: part, most });
        let [calls, hedges, inARow] = [0, 0, 0];
        for (const want of wants) {
          if (want && budget.allows) {
            budget.spend();
            hedges += 1;
            inARow += 1;
          } else {
            budget.earn();
            calls += 1;
            inARow = 0;
          }
          expect(hedges).toBeLessThanOrEqual(part * calls + 1e-6);
          expect(inARow).toBeLessThanOrEqual(most);
        }
      },
    ),
  );
});

it('a share of a twentieth buys one at the twentieth call', () => {
  const budget = new HedgeBudget({ share: 0.05, most: 10 });
  for (let i = 0; i < 19; i++) budget.earn();
  expect(budget.allows).toBe(false);
  budget.earn();
  expect(budget.allows).toBe(true);
});

it('the quantile is that of the latest latencies, to within one reading', () => {
  const options = { quantile: 0.95, size: 64, least: 20 };
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e4, noNaN: true }), { minLength: 20, maxLength: 300 }), (all) => {
      const latency = new LatencyQuantile(options);
      let readAt = 0;
      for (const [i, ms] of all.entries()) {
        const before = latency.ms;
        latency.record(ms);
        expect(latency.ms === undefined).toBe(i + 1 < options.least);
        if (latency.ms !== before) readAt = i + 1;
      }
      // What it says is what was true when it was last read, which is not long ago.
      const sorted = all.slice(Math.max(0, readAt - options.size), readAt).sort((a, b) => a - b);
      const atOrBelow = sorted.filter((ms) => ms <= latency.ms!).length / sorted.length;
      const below = sorted.filter((ms) => ms < latency.ms!).length / sorted.length;
      expect(atOrBelow).toBeGreaterThanOrEqual(options.quantile);
      expect(below).toBeLessThanOrEqual(options.quantile);
    }),
  );
});
