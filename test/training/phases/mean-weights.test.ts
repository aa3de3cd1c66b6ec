/** The mean of models: element by element, of every tensor, and of one model the model. */
import { describe, expect, it } from 'vitest';
import { meanWeights } from '../../../training/phases/mean-weights.ts';
import type { Weights } from '../../../training/teacher/checkpoint.ts';

const model = (...values: number[]): Weights =>
  new Map([
    ['a', { dtype: 'float32', shape: [2], data: Float32Array.from(values.slice(0, 2)) }],
    ['b', { dtype: 'float32', shape: [1, 1], data: Float32Array.from(values.slice(2)) }],
  ]);

describe('meanWeights', () => {
  it('averages every tensor and leaves what it was given alone', () => {
    const models = [model(1, 2, 3), model(3, 2, 9), model(5, -4, 0)];
    expect(meanWeights(models)).toEqual(model(3, 0, 4));
    expect(models).toEqual([model(1, 2, 3), model(3, 2, 9), model(5, -4, 0)]);
  });

  it('is the model itself where there is one', () => {
    expect(meanWeights([model(1, 2, 3)])).toEqual(model(1, 2, 3));
    expect(() => meanWeights([])).toThrow('at least one');
  });
});
