/**
 * Smoothing before int8: a few channels of a transformer's activations are many times larger than the rest, and one
 * scale per tensor spends its 256 steps on them. Each channel is divided by a factor and the matching row of the weight
 * multiplied by it.
 * Source: Xiao et al., "SmoothQuant", 2023.
 */
import { Graph, type Value } from '../graph/graph.ts';

/** The largest magnitude seen a channel of the left operand of each weight product, by the weight's name. */
export type ChannelRanges = ReadonlyMap<string, Float32Array>;

/** Where activations are large, how much of the difficulty moves into the weight: 0 none, 1 all. */
const STRENGTH = 0.7;
const SMALLEST_FACTOR = 1e-4;

/** Name of the output that measures the operand of a weight. */
export const rangeName = (weight: string): string => `range.${weight}`;

/**
 * A graph that measures channel ranges: the given model, with one output a weight product, float32 [k], named by
 * `rangeName` of the weight.
 * `build` adds the model to the graph it is given.
 */
export function rangeGraph(build: (graph: Graph) => void): Graph {
  const graph = new Graph();
  build(graph);
  graph.outputs.clear();
  for (const node of [...graph.nodes]) {
    if (node.op !== 'matmul') continue;
    const [x, weight] = node.inputs.map((id) => graph.node(id)) as [Value, Value];
    if (weight.op !== 'parameter') continue;
    const magnitude = graph.maximum(x, graph.apply('neg', x));
    graph.output(rangeName(weight.attributes.name), graph.max(magnitude, [...x.shape.keys()].slice(0, -1)));
  }
  return graph;
}

/** Factors [k] for weights [k, n] that share an operand: range^strength / largest weight^(1 - strength) of each channel. */
export function smoothingFactors(range: Float32Array, weights: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  return range.map((seen, i) => {
    let largest = 0;
    for (const weight of weights) {
      const columns = weight.length / range.length;
      for (let j = i * columns; j < (i + 1) * columns; j++) largest = Math.max(largest, Math.abs(weight[j]!));
    }
    if (largest === 0 || seen === 0) return 1;
    return Math.max(SMALLEST_FACTOR, seen ** STRENGTH / largest ** (1 - STRENGTH));
  }) as Float32Array<ArrayBuffer>;
}

/** A weight [k, n] with each row multiplied by its factor. */
export function scaleRows(weight: Float32Array, factors: Float32Array): Float32Array<ArrayBuffer> {
  const columns = weight.length / factors.length;
  return Float32Array.from(weight, (value, i) => value * factors[Math.floor(i / columns)]!);
}
