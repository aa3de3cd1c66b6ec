/**
 * A training step compiled from a model and its loss: forward, backward and optimizer as one graph.
 *
 * State goes in and comes out under the same names, so a runner only has to hand each output back as the next input, on whatever
 * device it lives; the graph itself (`graph`) can also become the body of a Scan.
 */
import { backward } from '../graph/backward.ts';
import { Graph, type NodeOf, type Value } from '../graph/graph.ts';
import { addAccumulatedUpdate } from '../nn/optimizers/accumulation.ts';
import { addUpdate, type UpdateOptions } from '../nn/optimizers/update.ts';
import { emitModel } from '../onnx/emit.ts';
import type { Weights } from '../teacher/checkpoint.ts';

export interface StepOptions extends UpdateOptions {
  /** Adds the model and its loss, a float32 scalar, to the graph; its trainable tensors are parameters named in `weights`. */
  readonly build: (graph: Graph) => Value;
  readonly weights: Weights;
  /** Parameters that stay as they are: they become part of the model instead of the state. */
  readonly frozen: (name: string) => boolean;
  /** Batches an update: their gradients are averaged, each run takes one, and the last makes the update; default 1. */
  readonly accumulate?: number;
}

export interface CompiledStep {
  readonly graph: Graph;
  /** ONNX bytes. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** State before the first step, by the name under which it goes in and comes out. */
  readonly initialState: Weights;
  /** Batches, and so runs, that one update takes. */
  readonly accumulate: number;
  /** Values that stay as they are; in `model` already. */
  readonly frozen: Weights;
  /** Names of the trained parameters. */
  readonly trained: readonly string[];
}

/** Outputs beside the state: float32 scalars. */
export const REPORTS = ['loss', 'gradientNorm', 'learningRate'] as const;
export type Report = Record<(typeof REPORTS)[number], number>;

/** The parameters that stay as they are: initializers of the graph they are used in. */
export const frozenWeights = (weights: Weights, frozen: StepOptions['frozen']): Weights =>
  new Map([...weights].filter(([name]) => frozen(name)));

/** What a state tensor's output is called. */
export const nextName = (name: string): string => `next.${name}`;

export function compileStep(options: StepOptions): CompiledStep {
  const { build, weights, frozen, accumulate = 1, ...rest } = options;
  const graph = new Graph();
  const loss = build(graph);
  const parameters = graph.nodes.filter((node): node is NodeOf<'parameter'> => node.op === 'parameter');
  const trained = parameters.filter((node) => !frozen(node.attributes.name));
  const gradients = backward(graph, loss, trained);
  const update = { ...rest, trained, gradients, weights };
  const { state, gradientNorm, learningRate } =
    accumulate === 1 ? addUpdate(graph, update) : addAccumulatedUpdate(graph, { ...update, accumulate });
  for (const [name, { next }] of state) graph.output(nextName(name), next);
  graph.output('loss', loss);
  graph.output('gradientNorm', gradientNorm);
  graph.output('learningRate', learningRate);

  const initializers = frozenWeights(weights, frozen);
  return {
    graph,
    model: emitModel(graph, { name: 'training step', initializers }),
    initialState: new Map([...state].map(([name, { initial }]) => [name, initial])),
    accumulate,
    frozen: initializers,
    trained: trained.map((node) => node.attributes.name),
  };
}
