/** The cosine adapter: one cosine means another thing in each query. */
import { expect, test } from 'vitest';
import { adapted, queryCosines } from '../../shared/cosine-adapter.ts';

const ADAPTER = { cosine: 20, bestCosine: -12, meanCosine: -2, words: -2, intercept: -1 };

test('a query is told by its best cosine, the mean of its ten best, and how many terms it has', () => {
  const cosines = [...Array.from({ length: 20 }, (_, i) => i / 100), 0.9];
  const { bestCosine, meanCosine, words } = queryCosines('red sofa red', cosines);
  expect(bestCosine).toBe(0.9);
  expect(meanCosine).toBeCloseTo((0.9 + 0.19 + 0.18 + 0.17 + 0.16 + 0.15 + 0.14 + 0.13 + 0.12 + 0.11) / 10, 12);
  expect(words).toBe(2 / 8);
  expect(queryCosines('a1 b2 c3 d4 e5 f6 g7 h8 i9', []).words).toBe(1);
});

test('missing cosines count as 0, in a market of few ads and in one of none', () => {
  expect(queryCosines('sofa', [0.5, -0.2])).toMatchObject({ bestCosine: 0.5, meanCosine: (0.5 - 0.2) / 10 });
  expect(queryCosines('sofa', [])).toMatchObject({ bestCosine: 0, meanCosine: 0 });
});

test('the nearer a query’s best ads, the less the same cosine is worth; the nearer the ad, the more', () => {
  const plenty = queryCosines('red sofa', Array<number>(10).fill(0.9));
  const few = queryCosines('red sofa', [0.6]);
  expect(adapted(0.6, plenty, ADAPTER)).toBeLessThan(adapted(0.6, few, ADAPTER));
  expect(adapted(0.7, few, ADAPTER)).toBeGreaterThan(adapted(0.6, few, ADAPTER));
  expect(adapted(0.6, { bestCosine: 0.6, meanCosine: 0.06, words: 0.25 }, ADAPTER)).toBeCloseTo(
    1 / (1 + Math.exp(-(12 - 7.2 - 0.12 - 0.5 - 1))),
    12,
  );
});
