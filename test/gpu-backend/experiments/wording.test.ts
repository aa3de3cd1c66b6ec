import { describe, expect, it } from 'vitest';
import {
  difference,
  finding,
  interval,
  NONE,
  period,
  pValue,
  total,
  value,
} from '../../../gpu-backend/experiments/wording.ts';
import type { Effect, ExperimentReport } from '../../../shared/contract/experiments.ts';

const effect = (patch: Partial<Effect> = {}): Effect => ({
  absolute: 0.5,
  interval: [0.1, 0.9],
  relative: 0.0612,
  relativeInterval: [0.0123, 0.0987],
  pValue: 0.0123,
  significant: true,
  ...patch,
});

describe('wording', () => {
  it('shows values in their unit', () => {
    expect(value('micros', 12_345_678_900)).toBe('12,345.68');
    expect(value('micros', 2_300)).toBe('0.0023');
    expect(value('ratio', 0.05678)).toBe('5.68 %');
    expect(value('count', 0.01234)).toBe('0.0123');
    expect(value('count', 4.5)).toBe('4.50');
    expect(value('ms', 12.345)).toBe('12.35 ms');
    expect(value('count', null)).toBe(NONE);
    expect(total('count', 1_234_567)).toBe('1,234,567');
  });

  it('shows differences as shares of control, with as many decimals as their interval deserves', () => {
    expect([difference('count', effect()), interval('count', effect())]).toEqual(['+6.12 %', '+1.23 % to +9.87 %']);
    const wide = effect({ relative: -0.4, relativeInterval: [-1.7, 0.9] });
    expect([difference('count', wide), interval('count', wide)]).toEqual(['−40 %', '−170 % to +90 %']);
    const none = effect({ relative: -0.00001, relativeInterval: [-0.02, 0.02] });
    expect(difference('count', none)).toBe('0.00 %');
  });

  it('shows differences in the unit where control is 0', () => {
    const absolute = effect({
      absolute: 250_000,
      interval: [-50_000, 550_000],
      relative: null,
      relativeInterval: null,
    });
    expect([difference('micros', absolute), interval('micros', absolute)]).toEqual(['+0.2500', '−0.0500 to +0.5500']);
  });

  it('never rounds a p-value to 0', () => {
    expect(pValue(effect({ pValue: Number.MIN_VALUE }))).toBe('< 0.0001');
    expect(pValue(effect({ pValue: 0.05 }))).toBe('0.0500');
    expect(pValue(null)).toBe(NONE);
  });

  it('claims only what both intervals bear out, by the direction of the metric', () => {
    expect(finding({ direction: 'increase' }, effect())).toBe('better');
    expect(finding({ direction: 'decrease' }, effect())).toBe('worse');
    expect(finding({ direction: 'none' }, effect())).toBe('changed');
    expect(finding({ direction: 'increase' }, effect({ significant: false, interval: [-0.1, 1] }))).toBe('open');
    expect(finding({ direction: 'increase' }, effect({ relativeInterval: [-0.001, 0.12] }))).toBe('open');
    expect(finding({ direction: 'increase' }, null)).toBe('open');
  });

  it('says when, in UTC', () => {
    const report = { from: '2026-03-29T00:30:00.000Z', to: '2026-03-30T01:02:59.000Z' } as ExperimentReport;
    expect(period(report)).toBe('2026-03-29 00:30 to 2026-03-30 01:02 UTC');
    expect(period({ ...report, from: null, to: null })).toBe('no queries yet');
  });
});
