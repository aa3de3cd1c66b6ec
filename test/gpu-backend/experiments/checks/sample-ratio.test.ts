import { describe, expect, it } from 'vitest';
import { ALPHA, checkSampleRatio } from '../../../../gpu-backend/experiments/checks/sample-ratio.ts';
import { SampleRatioCheck } from '../../../../shared/contract/experiments.ts';
import { uniforms } from '../../../fixtures/random.ts';
import { expectClose, golden } from '../golden.ts';

const arms = (observed: readonly number[], weights: readonly number[]) =>
  observed.map((units, i) => ({ arm: `arm-${i}`, weight: weights[i]!, units }));

describe('sample ratio', () => {
  it.each(golden.sampleRatio)('$observed against $weights', ({ observed, weights, pValue }) => {
    const check = checkSampleRatio(arms(observed, weights));
    expectClose(check.pValue, pValue);
    expect(check.ok).toBe(pValue >= ALPHA);
    expect(SampleRatioCheck.parse(check)).toEqual(check);
  });

  it('knows the intended weights: 95/5 is no alarm where 95/5 was meant', () => {
    expect(checkSampleRatio(arms([95_000, 5_000], [95, 5])).ok).toBe(true);
    expect(checkSampleRatio(arms([95_000, 5_000], [1, 1])).ok).toBe(false);
    expect(checkSampleRatio(arms([50_000, 50_000], [95, 5])).ok).toBe(false);
  });

  it('finds one lost unit in a hundred, in 95/5 too', () => {
    expect(checkSampleRatio(arms([100_000, 99_000], [1, 1])).ok).toBe(true); // p = 0.025: not yet
    expect(checkSampleRatio(arms([1_000_000, 990_000], [1, 1])).ok).toBe(false);
    expect(checkSampleRatio(arms([9_500_000, 495_000], [95, 5])).ok).toBe(false);
  });

  it('keeps a p-value above 0 however gross the mismatch', () => {
    const check = checkSampleRatio(arms([900_000, 100_000], [1, 1]));
    expect(check.pValue).toBe(Number.MIN_VALUE);
    expect(check.message).toContain('p < 1e-300');
  });

  it('names what it observed and expected', () => {
    const { message, observed, expected } = checkSampleRatio(arms([600, 300], [1, 1]));
    expect(message).toBe(
      'Units: observed arm-0 600, arm-1 300; expected arm-0 450.0, arm-1 450.0 (p = 1.5e-23 < 0.001). Do not read the metrics: find out where an arm loses or gains units first.',
    );
    expect({ observed, expected }).toEqual({
      observed: { 'arm-0': 600, 'arm-1': 300 },
      expected: { 'arm-0': 450, 'arm-1': 450 },
    });
  });

  it('does not speak before there are enough units', () => {
    expect(checkSampleRatio(arms([0, 0], [1, 1]))).toMatchObject({ ok: true, pValue: 1, message: 'No units yet.' });
    const few = checkSampleRatio(arms([8, 0], [1, 1]));
    expect(few.ok).toBe(true);
    expect(few.message).toContain('Too few units');
  });

  it('fails for units in an arm that the experiment does not have', () => {
    const check = checkSampleRatio([...arms([500, 500], [1, 1]), { arm: 'gone', weight: 0, units: 1 }]);
    expect(check.ok).toBe(false);
    expect(check.message).toContain('no arm gone');
  });

  it('raises an alarm by chance about once in a thousand', () => {
    const uniform = uniforms(3);
    let alarms = 0;
    for (let test = 0; test < 5_000; test++) {
      let treated = 0;
      for (let unit = 0; unit < 400; unit++) if (uniform() < 0.3) treated++;
      if (!checkSampleRatio(arms([400 - treated, treated], [7, 3])).ok) alarms++;
    }
    expect(alarms).toBeGreaterThan(0);
    expect(alarms).toBeLessThan(15);
  });
});
