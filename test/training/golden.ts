/** The golden checkpoint: a tiny BERT with random weights, written by transformers, and what PyTorch computes with it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const GOLDEN = join(import.meta.dirname, '../golden');
export const TINY = join(GOLDEN, 'bert-tiny');

export interface Expected {
  readonly texts: readonly string[];
  readonly ids: readonly (readonly number[])[];
  /** [texts, 32], mean and CLS pooling, normalised. */
  readonly mean: readonly number[];
  readonly cls: readonly number[];
  readonly gradient: {
    readonly target: readonly number[];
    readonly loss: number;
    /** L2 norm of the gradient of each parameter, by the checkpoint's names. */
    readonly norms: Readonly<Record<string, number>>;
  };
  readonly steps: {
    readonly settings: Readonly<
      Record<
        'peak' | 'warmupSteps' | 'totalSteps' | 'floor' | 'beta1' | 'beta2' | 'epsilon' | 'weightDecay' | 'clipNorm',
        number
      >
    >;
    readonly losses: readonly number[];
    readonly gradientNorms: readonly number[];
    readonly learningRates: readonly number[];
    readonly parameterNorms: Readonly<Record<string, number>>;
    readonly sample: Readonly<Record<string, readonly number[]>>;
  };
}

export const expectedTiny = (): Expected => JSON.parse(readFileSync(join(TINY, 'expected.json'), 'utf8')) as Expected;

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}

/** The smallest cosine between the rows of two [n, dim] matrices. */
export function leastCosine(a: ArrayLike<number>, b: ArrayLike<number>, dimension: number): number {
  const row = (x: ArrayLike<number>, i: number) => Array.from({ length: dimension }, (_, j) => x[i * dimension + j]!);
  return Math.min(...Array.from({ length: a.length / dimension }, (_, i) => cosine(row(a, i), row(b, i))));
}

export const norm = (values: ArrayLike<number>): number =>
  Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0));
