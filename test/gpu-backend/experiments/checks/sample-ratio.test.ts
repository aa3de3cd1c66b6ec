import { describe, expect, it } from 'vitest';
import { runChecks } from '../../../../gpu-backend/experiments/checks/checks.ts';
import { ALPHA, checkSampleRatio, sampleRatioPValue } from '../../../../gpu-backend/experiments/checks/sample-ratio.ts';
import { CheckFinding } from '../../../../shared/contract/experiments.ts';
import { experimentOf } from '../../../fixtures/experiment-traffic.ts';
import { uniforms } from '../../../fixtures/random.ts';
import { expectClose, golden } from '../golden.ts';
import { evidenceOf } from './evidence-of.ts';

const arms = (observed: readonly number[], weights: readonly number[]) =>
  observed.map((units, i) => ({ arm: `arm-${i}`, weight: weights[i]!, units }));
const severity = (observed: readonly number[], weights: readonly number[]) =>
  checkSampleRatio(arms(observed, weights)).severity;

describe('sample ratio', () => {
  it.each(golden.sampleRatio)('$observed against $weights', ({ observed, weights, pValue }) => {
    expectClose(sampleRatioPValue(arms(observed, weights)), pValue);
    expect(severity(observed, weights)).toBe(pValue >= ALPHA ? 'ok' : 'alarm');
  });

  it('knows the intended weights: 95/5 is no alarm where 95/5 was meant', () => {
    expect(severity([95_000, 5_000], [95, 5])).toBe('ok');
    expect(severity([95_000, 5_000], [1, 1])).toBe('alarm');
    expect(severity([50_000, 50_000], [95, 5])).toBe('alarm');
  });

  it('finds one lost unit in a hundred, in 95/5 too', () => {
    expect(severity([100_000, 99_000], [1, 1])).toBe('ok'); // p = 0.025: not yet
    expect(severity([1_000_000, 990_000], [1, 1])).toBe('alarm');
    expect(severity([9_500_000, 495_000], [95, 5])).toBe('alarm');
  });

  it('keeps a p-value above 0 however gross the mismatch', () => {
    const found = checkSampleRatio(arms([900_000, 100_000], [1, 1]));
    expect(found.pValue).toBe(Number.MIN_VALUE);
    expect(found.received).toContain('p < 1e-300');
  });

  it('names what came, what should have, and what to do', () => {
    expect(checkSampleRatio(arms([600, 300], [1, 1]))).toMatchObject({
      received: 'units arm-0 600, arm-1 300 (p = 1.5e-23)',
      expected: 'arm-0 450.0, arm-1 450.0',
      action: 'Do not read the metrics: find out where an arm loses or gains units first.',
    });
  });

  it('is exact where units are few, and silent where there are none', () => {
    expect(checkSampleRatio(arms([0, 0], [1, 1]))).toMatchObject({
      severity: 'unknown',
      expected: 'arm-0 50.0 %, arm-1 50.0 %',
      received: 'no units yet',
    });
    expect(sampleRatioPValue(arms([8, 0], [1, 1]))).toBeCloseTo(2 / 256, 12);
    expect(severity([9, 0], [1, 1])).toBe('ok');
    expect(severity([40, 8], [99, 1])).toBe('alarm');
    expect(severity(Array(19).fill(1), Array(19).fill(1))).toBe('unknown');
  });

  it('fails for units in an arm that the experiment does not have', () => {
    const found = checkSampleRatio([...arms([500, 500], [1, 1]), { arm: 'gone', weight: 0, units: 1 }]);
    expect(found.severity).toBe('alarm');
    expect(found.action).toContain('no arm gone');
  });

  it('is a finding of the list, in the shape of the contract', () => {
    const findings = runChecks({
      ...evidenceOf(experimentOf('test'), { control: 600, treatment: 300 }),
    });
    expect(findings[0]).toMatchObject({ check: 'sample_ratio', title: 'Sample ratio', severity: 'alarm' });
    expect(CheckFinding.array().parse(findings)).toEqual(findings);
  });

  it('raises an alarm by chance about once in a thousand', () => {
    const uniform = uniforms(3);
    let alarms = 0;
    for (let test = 0; test < 5_000; test++) {
      let treated = 0;
      for (let unit = 0; unit < 400; unit++) if (uniform() < 0.3) treated++;
      if (severity([400 - treated, treated], [7, 3]) === 'alarm') alarms++;
    }
    expect(alarms).toBeGreaterThan(0);
    expect(alarms).toBeLessThan(15);
  });
});
