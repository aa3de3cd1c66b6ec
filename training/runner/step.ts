/**
 * A training step compiled from a model and its loss: forward, backward and optimizer as one graph.
 *
 * State goes in and comes out under the same names, so a runner only has to hand each output back as the next input, on whatever
 * device it lives; the graph itself (`graph`) can also become the body of a Scan.
 */
import { backward } from '../graph/backward.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { clipFactor, globalNorm, learningRate, type Optimizer, type Schedule } from '../nn/optimizers.ts';
import { emitModel } from '../onnx/emit.ts';
import type { TensorData } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';

export interface StepOptions {
  /** Adds the model and its loss, a float32 scalar, to the graph; its trainable tensors are parameters named in `weights`. */
  readonly build: (graph: Graph) => Value;
  readonly weights: Weights;
  /** Parameters that stay as they are: they become part of the model instead of the state. */
  readonly frozen: (name: string) => boolean;
  readonly schedule: Schedule;
  readonly optimizer: Optimizer;
  /** Largest global norm of the gradient. */
  readonly clipNorm: number;
}

export interface CompiledStep {
  readonly graph: Graph;
  /** ONNX bytes. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** State before the first step, by the name under which it goes in and comes out. */
  readonly initialState: Weights;
  /** Values that stay as they are; in `model` already. */
  readonly frozen: Weights;
  /** Names of the trained parameters. */
  readonly trained: readonly string[];
}

/** Outputs beside the state: float32 scalars. */
export const REPORTS = ['loss', 'gradientNorm', 'learningRate'] as const;
export type Report = Record<(typeof REPORTS)[number], number>;

/** What a state tensor's output is called. */
export const nextName = (name: string): string => `next.${name}`;
const STEP = 'step';

export function compileStep(options: StepOptions): CompiledStep {
  const { build, weights, frozen, schedule, optimizer, clipNorm } = options;
  const graph = new Graph();
  const loss = build(graph);
  const parameters = graph.nodes.filter((node) => node.op === 'parameter');
  const trained = parameters.filter((node) => !frozen(node.attributes.name));
  const gradients = backward(graph, loss, trained);

  const state = new Map<string, TensorData>();
  const carry = (name: string, next: Value, data: TensorData) => {
    graph.output(nextName(name), next);
    state.set(name, data);
  };

  const before = graph.parameter(STEP, []);
  const step = graph.plus(before, 1);
  carry(STEP, step, { dtype: 'float32', shape: [], data: new Float32Array(1) });
  const rate = learningRate(graph, step, schedule);
  const norm = globalNorm(graph, gradients);
  const clip = clipFactor(graph, norm, clipNorm);

  trained.forEach((parameter, i) => {
    const { name } = parameter.attributes;
    const data = weights.get(name);
    if (!data) throw new Error(`no values for parameter '${name}'`);
    const slotName = (slot: string) => `${slot}.${name}`;
    const slots = Object.fromEntries(
      optimizer.slots.map((slot) => [slot, graph.parameter(slotName(slot), data.shape)]),
    );
    const decays = parameter.shape.length > 1;
    const next = optimizer.update(graph, { parameter, gradient: gradients[i]!, slots, rate, step, clip, decays });
    carry(name, next.parameter, data);
    for (const slot of optimizer.slots) {
      carry(slotName(slot), next.slots[slot]!, { ...data, data: new Float32Array(data.data.length) });
    }
  });
  graph.output('loss', loss);
  graph.output('gradientNorm', norm);
  graph.output('learningRate', rate);

  const initializers = new Map([...weights].filter(([name]) => frozen(name)));
  return {
    graph,
    model: emitModel(graph, { name: 'training step', initializers }),
    initialState: state,
    frozen: initializers,
    trained: trained.map((node) => node.attributes.name),
  };
}
