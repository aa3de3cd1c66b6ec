/**
 * Parameters before any training, seeded: dense weights and tables from a truncated normal distribution, biases zero, gains one
 * (Devlin et al., 2019; the width of 0.02 is BERT's).
 */
import { seeded } from '../data/seeded.ts';
import { Graph } from '../graph/graph.ts';
import type { TensorData } from '../onnx/model.ts';
import { tokenInputs } from './architecture.ts';
import { type EncoderShape, embeddingOf } from './encoder.ts';

const WIDTH = 0.02;

/** A tensor of normal numbers of standard deviation `width`, none further out than two of it. The same name and seed give the same numbers. */
export function truncatedNormal(
  shape: readonly number[],
  { width, name, seed }: { width: number; name: string; seed: number },
): TensorData {
  const random = seeded('initial', seed, name);
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (let i = 0; i < data.length; ) {
    // Box and Muller (1958); what lies too far out is drawn again.
    const value = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    if (Math.abs(value) <= 2) data[i++] = value * width;
  }
  return { dtype: 'float32', shape: [...shape], data };
}

/** Parameters of an encoder of this shape, by name. */
export function initialWeights(shape: EncoderShape, seed: number): Map<string, TensorData> {
  const graph = new Graph();
  embeddingOf(graph, shape, tokenInputs(graph, ['batch', 'tokens']));
  const weights = new Map<string, TensorData>();
  for (const node of graph.nodes) {
    if (node.op !== 'parameter') continue;
    const { name } = node.attributes;
    const sizes = node.shape as readonly number[];
    if (sizes.length > 1) weights.set(name, truncatedNormal(sizes, { width: WIDTH, name, seed }));
    else {
      const data = new Float32Array(sizes[0]!).fill(name.endsWith('.bias') ? 0 : 1);
      weights.set(name, { dtype: 'float32', shape: sizes, data });
    }
  }
  return weights;
}
