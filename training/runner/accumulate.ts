/**
 * Gradients over many runs, then one update: for batches whose graph does not fit in memory, and for losses whose gradient with respect
 * to the vectors comes from elsewhere (GradCache, Gao et al., arXiv 2101.06983: the loss here is then sum(vectors * given gradient)).
 *
 * Two programs: `gradient` adds the gradient of one chunk to the sums, `update` turns the sums into the next state. Both take the state's
 * parameters as inputs. The chunk may have a symbolic batch and length, so that chunks differ in size; the loss must then be a sum over
 * it, not a mean. A parameter whose gradient is computed elsewhere joins in by a term of its own: parameter * given gradient.
 */
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { backward } from '../graph/backward.ts';
import { Graph, type NodeOf, type Value } from '../graph/graph.ts';
import { sumName } from '../nn/optimizers/accumulation.ts';
import { addUpdate, type UpdateOptions } from '../nn/optimizers/update.ts';
import { emitModel } from '../onnx/emit.ts';
import type { TensorData } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import { frozenWeights, nextName, type Report } from './step.ts';
import { fromTensor, requireFinite, toTensor } from './tensors.ts';

export interface AccumulationOptions extends UpdateOptions {
  /** Adds the model and the loss of one chunk, a float32 scalar; its trainable tensors are parameters named in `weights`. */
  readonly build: (graph: Graph) => Value;
  readonly weights: Weights;
  /** Parameters that stay as they are: they become part of the gradient program. */
  readonly frozen: (name: string) => boolean;
}

export interface CompiledAccumulation {
  /** ONNX bytes. Inputs: the chunk, the trained parameters, `sumName(x)` of each; outputs: `nextName(sumName(x))` and `loss`. */
  readonly gradient: Uint8Array<ArrayBuffer>;
  /**
   * ONNX bytes. Inputs: the state and `sumName(x)` of each trained parameter; outputs: `nextName` of the whole state, `gradientNorm` and
   * `learningRate`.
   */
  readonly update: Uint8Array<ArrayBuffer>;
  /** State before the first update, by the name under which it goes in and comes out. */
  readonly initialState: Weights;
  /** Names of the trained parameters. */
  readonly trained: readonly string[];
}

export function compileAccumulation(options: AccumulationOptions): CompiledAccumulation {
  const { build, weights, frozen, ...rest } = options;
  const chunk = new Graph();
  const loss = build(chunk);
  const parameters = chunk.nodes.filter((node): node is NodeOf<'parameter'> => node.op === 'parameter');
  const trained = parameters.filter((node) => !frozen(node.attributes.name));
  backward(chunk, loss, trained).forEach((gradient, i) => {
    const { attributes, shape } = trained[i]!;
    const name = sumName(attributes.name);
    chunk.output(nextName(name), chunk.plus(chunk.parameter(name, shape), gradient));
  });
  chunk.output('loss', loss);

  const g = new Graph();
  const update = addUpdate(g, {
    ...rest,
    weights,
    trained: trained.map(({ attributes, shape }) => g.parameter(attributes.name, shape) as NodeOf<'parameter'>),
    gradients: trained.map(({ attributes, shape }) => g.parameter(sumName(attributes.name), shape)),
  });
  for (const [name, { next }] of update.state) g.output(nextName(name), next);
  g.output('gradientNorm', update.gradientNorm);
  g.output('learningRate', update.learningRate);

  return {
    gradient: emitModel(chunk, { name: 'gradient', initializers: frozenWeights(weights, frozen) }),
    update: emitModel(g, { name: 'update' }),
    initialState: new Map([...update.state].map(([name, { initial }]) => [name, initial])),
    trained: trained.map((node) => node.attributes.name),
  };
}

type Sessions = Readonly<Record<'gradient' | 'update', InferenceSession>>;

/** Runs the two programs on the CPU and holds the state and the sums between runs. */
export class Accumulator {
  readonly #sessions: Sessions;
  /** Sums before the first chunk; runs write to fresh buffers, so they stay zero. */
  readonly #zeros: ReadonlyMap<string, Tensor>;
  #sums: ReadonlyMap<string, Tensor>;
  #state: ReadonlyMap<string, Tensor>;
  readonly #trained: readonly string[];

  private constructor(sessions: Sessions, { trained }: CompiledAccumulation, state: Weights) {
    this.#sessions = sessions;
    this.#trained = trained;
    this.#state = new Map([...state].map(([name, data]) => [name, toTensor(data)]));
    this.#zeros = new Map(
      trained.map((name) => {
        const { shape, data } = state.get(name)!;
        return [sumName(name), toTensor({ dtype: 'float32', shape, data: new Float32Array(data.length) })];
      }),
    );
    this.#sums = this.#zeros;
  }

  /** @param options.state Where to start; default the initial state. `threads` 0 (default) takes one a core. */
  static async open(
    compiled: CompiledAccumulation,
    { state = compiled.initialState, threads = 0 }: { state?: Weights; threads?: number } = {},
  ): Promise<Accumulator> {
    const open = (model: Uint8Array) =>
      InferenceSession.create(model, { intraOpNumThreads: threads, logSeverityLevel: 3 });
    return new Accumulator(
      { gradient: await open(compiled.gradient), update: await open(compiled.update) },
      compiled,
      state,
    );
  }

  /** Adds the gradient of one chunk to the sums. @returns the chunk's loss. */
  async add(chunk: ReadonlyMap<string, TensorData>): Promise<number> {
    const results = await this.#sessions.gradient.run({
      ...Object.fromEntries([...chunk].map(([name, data]) => [name, toTensor(data)])),
      ...Object.fromEntries(this.#trained.map((name) => [name, this.#state.get(name)!])),
      ...Object.fromEntries(this.#sums),
    });
    this.#sums = new Map([...this.#zeros.keys()].map((name) => [name, results[nextName(name)]!]));
    return (results.loss!.data as Float32Array)[0]!;
  }

  /**
   * One step of the optimizer with the sums, which start from zero again. @throws HarnessError where they are no longer
   * numbers.
   */
  async update(): Promise<Omit<Report, 'loss'>> {
    const results = await this.#sessions.update.run({
      ...Object.fromEntries(this.#state),
      ...Object.fromEntries(this.#sums),
    });
    const [gradientNorm, learningRate] = (['gradientNorm', 'learningRate'] as const).map(
      (name) => (results[name]!.data as Float32Array)[0]!,
    ) as [number, number];
    requireFinite({ 'gradient norm': gradientNorm });
    this.#state = new Map([...this.#state.keys()].map((name) => [name, results[nextName(name)]!]));
    this.#sums = this.#zeros;
    return { gradientNorm, learningRate };
  }

  /** The state as it stands, on the host; not to be written to. Sums of chunks since the last update are not part of it. */
  async state(): Promise<Map<string, TensorData>> {
    return new Map([...this.#state].map(([name, tensor]) => [name, fromTensor(tensor)]));
  }

  async close(): Promise<void> {
    await this.#sessions.gradient.release();
    await this.#sessions.update.release();
  }
}
