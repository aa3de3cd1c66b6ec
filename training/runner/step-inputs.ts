/**
 * What batches are made of, as inputs of a training step: token ids, rows of vectors, and which pairs are not
 * negatives.
 */
import { NO_NEGATIVE } from '../nn/losses.ts';
import type { TensorData } from '../onnx/model.ts';
import type { TokenBatch } from '../teacher/tokenizer.ts';

/** The two token inputs of an encoder (nn/architecture.ts) by name, int64 [batch, tokens]. */
export function tokenTensors({ inputIds, attentionMask, batch, tokens }: TokenBatch): [string, TensorData][] {
  const shape = [batch, tokens];
  return [
    ['input_ids', { dtype: 'int64', shape, data: inputIds }],
    ['attention_mask', { dtype: 'int64', shape, data: attentionMask }],
  ];
}

/** Rows of a matrix [n, dimension], one after the other: float32 [rows, dimension]. */
export function rowTensor(vectors: Float32Array, rows: readonly number[], dimension: number): TensorData {
  const data = new Float32Array(rows.length * dimension);
  rows.forEach((row, i) => {
    data.set(vectors.subarray(row * dimension, (row + 1) * dimension), i * dimension);
  });
  return { dtype: 'float32', shape: [rows.length, dimension], data };
}

/** Added to logits: 0, or `NO_NEGATIVE` off the diagonal where two are known to belong together; float32 [rows, columns]. */
export function maskTensor(
  [rows, columns]: readonly [number, number],
  known: (row: number, column: number) => boolean,
): TensorData & { readonly data: Float32Array<ArrayBuffer> } {
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) if (i !== j && known(i, j)) data[i * columns + j] = NO_NEGATIVE;
  }
  return { dtype: 'float32', shape: [rows, columns], data };
}
