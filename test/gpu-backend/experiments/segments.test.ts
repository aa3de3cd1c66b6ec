import { describe, expect, it } from 'vitest';
import { momentsOf } from '../../../gpu-backend/experiments/estimators/quantity.ts';
import { METRICS } from '../../../gpu-backend/experiments/metrics.ts';
import { segmentEffects } from '../../../gpu-backend/experiments/segments.ts';
import { isSum } from '../../../shared/metric.ts';
import { uniforms } from '../../fixtures/random.ts';

const metric = METRICS.filter(isSum).find(({ key }) => key === 'ctr' || key.includes('click'))!;
const options = { metrics: [metric], control: 'control', arms: ['control', 'treatment'], confidence: 0.95 };
const random = uniforms(5);

/** An arm of a stratum whose units are alike but for noise. */
const arm = (units: number, more = 0) =>
  momentsOf(
    Array.from({ length: units }, () => {
      const queries = 1 + Math.floor(random() * 4);
      return { queries, covered: queries, shown: 2 * queries, clicks: Math.floor(random() * 3) + more };
    }),
  );
const stratum = (units: number, more = 0) =>
  new Map([
    ['control', arm(units)],
    ['treatment', arm(units, more)],
  ]);

describe('segments', () => {
  it('are the values that tell units apart: not what all have, nor what is not known', () => {
    const found = segmentEffects(
      {
        strata: new Map([
          ['us mobile ', stratum(40)],
          ['us desktop ', stratum(40)],
          ['us  ', stratum(40)],
        ]),
      },
      options,
    );
    expect(found.map(({ dimension, value, units }) => [dimension, value, units])).toEqual([
      ['device', 'desktop', 80],
      ['device', 'mobile', 80],
    ]);
  });

  it('of several strata are pooled, and their p-values corrected for their number', () => {
    const strata = new Map([
      ['us mobile yes', stratum(60, 1)],
      ['us desktop yes', stratum(60)],
      ['gb mobile no', stratum(60, 1)],
      ['gb desktop no', stratum(60)],
    ]);
    const found = segmentEffects({ strata }, options);
    expect(found.map(({ dimension, value, units }) => `${dimension} ${value} ${units}`)).toEqual([
      'market gb 240',
      'market us 240',
      'device desktop 240',
      'device mobile 240',
      'consent no 240',
      'consent yes 240',
    ]);
    const least = found.reduce((a, b) => (a.effect!.pValue < b.effect!.pValue ? a : b));
    expect([least.dimension, least.value]).toEqual(['device', 'mobile']);
    expect(least.adjustedPValue! / least.effect!.pValue).toBeCloseTo(6, 9); // Holm: the smallest of six
    for (const { effect, adjustedPValue } of found) expect(adjustedPValue).toBeGreaterThanOrEqual(effect!.pValue);
  });
});
