/** Runs a small graph once, from plain numbers to plain numbers. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect } from 'vitest';
import type { Graph, Value } from '../../../training/graph/graph.ts';
import { emitModel } from '../../../training/onnx/emit.ts';
import type { Plain } from '../graph/reference.ts';

/** The named values as flat arrays; feeds that the graph does not ask for are left out. */
export async function run(
  graph: Graph,
  outputs: Readonly<Record<string, Value>>,
  feeds: Readonly<Record<string, Plain>>,
): Promise<Record<string, number[]>> {
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
  const session = await InferenceSession.create(emitModel(graph, { name: 'test' }), {
    logSeverityLevel: 3,
    intraOpNumThreads: 1,
  });
  const tensors = session.inputNames.map((name) => {
    const { shape, data } = feeds[name]!;
    return [name, new Tensor('float32', Float32Array.from(data), shape)];
  });
  const results = await session.run(Object.fromEntries(tensors));
  await session.release();
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, [...(data as Float32Array)]]));
}

/** Each element within `tolerance` of the largest expected one (or of 1 where all are smaller). */
export function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  const scale = Math.max(1, ...expected.map(Math.abs));
  expected.forEach((value, i) => {
    const off = Math.abs(actual[i]! - value);
    expect(off, `element ${i}: expected ${value}, received ${actual[i]}`).toBeLessThan(tolerance * scale);
  });
}
