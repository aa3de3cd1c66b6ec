/** Values on the host to ONNX Runtime's tensors and back, and the report that every training step gives beside its state. */
import { Tensor } from 'onnxruntime-node';
import { HarnessError } from '../../shared/problem.ts';
import type { TensorData } from '../onnx/model.ts';
import { REPORTS, type Report } from './step.ts';

export const toTensor = ({ dtype, shape, data }: TensorData): Tensor =>
  new Tensor(dtype as 'float32', data as Float32Array, shape);

/** A float32 tensor's values; the array is not copied. */
export const fromTensor = ({ dims, data }: Tensor): TensorData => ({
  dtype: 'float32',
  shape: dims,
  data: data as Float32Array,
});

/** @throws HarnessError naming all of the values where one is no longer a number. */
export function requireFinite(values: Readonly<Record<string, number>>): void {
  const entries = Object.entries(values);
  if (entries.every(([, value]) => Number.isFinite(value))) return;
  const found = entries.map(([name, value]) => `${name} ${value}`).join(', ');
  throw new HarnessError('internal', `training diverged: ${found}; lower the learning rate.`);
}

/** Reports of as many steps as a call made, from each report's values. @throws HarnessError where the loss is no longer a number. */
export function readReports(values: (name: (typeof REPORTS)[number]) => ArrayLike<number>): Report[] {
  const columns = REPORTS.map(values);
  return Array.from(columns[0]!, (_, i) => {
    const report = Object.fromEntries(REPORTS.map((name, column) => [name, columns[column]![i]!])) as Report;
    requireFinite({ loss: report.loss, 'gradient norm': report.gradientNorm });
    return report;
  });
}
