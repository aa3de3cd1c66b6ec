/** The order in which a student's graph is run: its nodes, with each int8 linear layer merged into one step. */
import { HarnessError } from '../../shared/problem.ts';
import type { OnnxGraph, OnnxNode, StoredTensor } from './onnx.ts';
import { OPERATORS } from './operators.ts';

/** A node, or a linear layer; `done` are the values that no later step reads. */
export type Step = { inputs: string[]; outputs: string[]; done: string[] } & (
  | { kind: 'operator'; node: OnnxNode }
  /** Of the inputs bytes, their zero point and their scale. */
  | { kind: 'linear'; weight: StoredTensor; scale: StoredTensor; bias: StoredTensor | undefined }
);

type Layer = Extract<Step, { kind: 'linear' }>;

const PRODUCT = 'MatMulInteger';

/**
 * The layer that begins at node `i`, and its number of nodes. What the recipe writes for one (matmulInt8 of
 * training/onnx/emit.ts) is: product, cast to float, the two scales multiplied, result scaled; then, mostly, a bias.
 */
function layerAt({ nodes, tensors }: OnnxGraph, i: number): [layer: Layer, count: number] {
  const [product, cast, scales, scaled, sum] = nodes.slice(i, i + 5);
  const weight = tensors.get(product!.inputs[1]!);
  const [xScale, scaleName] = scales?.inputs ?? [];
  const scale = tensors.get(scaleName!);
  const made = cast?.inputs[0] === product!.outputs[0] && scaled?.inputs.includes(cast!.outputs[0]!);
  const [k = 0, n = 0] = weight?.dims ?? [];
  if (!made || !scaled!.inputs.includes(scales!.outputs[0]!) || weight === undefined || scale === undefined) {
    throw new HarnessError(
      'bundle_damaged',
      `student.onnx: expected a weight, its scale and a cast around ${product!.outputs[0]}.`,
    );
  }
  if (k === 0 || k % 2 !== 0 || n === 0 || n % 16 !== 0)
    throw new HarnessError(
      'bundle_damaged',
      `student.onnx: expected a weight [2 a, 16 b], got ${product!.inputs[1]} [${k}, ${n}].`,
    );
  const inputs = [product!.inputs[0]!, product!.inputs[2]!, xScale!];
  const bias = sum?.op === 'Add' && sum.inputs[0] === scaled!.outputs[0] ? tensors.get(sum.inputs[1]!) : undefined;
  const { outputs } = bias === undefined ? scaled! : sum!;
  return [{ kind: 'linear', inputs, outputs, done: [], weight, scale, bias }, bias === undefined ? 4 : 5];
}

/** Throws `bundle_damaged` for a graph that the Worker cannot run. */
export function stepsOf(graph: OnnxGraph): Step[] {
  const steps: Step[] = [];
  for (let i = 0; i < graph.nodes.length; ) {
    const node = graph.nodes[i]!;
    if (node.op === PRODUCT) {
      const [layer, count] = layerAt(graph, i);
      steps.push(layer);
      i += count;
    } else if (Object.hasOwn(OPERATORS, node.op)) {
      steps.push({ kind: 'operator', node, inputs: node.inputs, outputs: node.outputs, done: [] });
      i++;
    } else {
      throw new HarnessError(
        'bundle_damaged',
        `student.onnx: expected operators that the Worker can run, got ${node.op}; it runs BERT and static students in int8.`,
      );
    }
  }
  const last = new Map<string, Step>();
  for (const step of steps) for (const name of step.inputs) last.set(name, step);
  for (const [name, step] of last) step.done.push(name);
  return steps;
}
