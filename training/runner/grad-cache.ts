/**
 * Contrastive batches larger than memory: GradCache (Gao et al., arXiv 2101.06983).
 *
 * All texts of a batch are encoded in chunks without gradients; the loss gives its gradient with respect to the vectors; then every
 * chunk is encoded again, and the gradient of sum(vectors * given gradient) is added up. The result is the gradient of the whole batch,
 * exactly. Chunks hold texts of similar length, so that nearly nothing of them is padding.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { backward } from '../graph/backward.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { embeddingOf } from '../nn/encoder.ts';
import { LOGIT_SCALE } from '../nn/losses.ts';
import { emitModel } from '../onnx/emit.ts';
import type { TensorData } from '../onnx/model.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import type { TokenBatch } from '../teacher/tokenizer.ts';
import { type AccumulationOptions, Accumulator, type CompiledAccumulation, compileAccumulation } from './accumulate.ts';
import type { EncoderModel } from './encoder.ts';
import type { StepRunner } from './runner.ts';
import { frozenWeights, type Report } from './step.ts';
import { tokenTensors } from './step-inputs.ts';
import { requireFinite, toTensor } from './tensors.ts';

export interface GradCacheBatch {
  /** Token ids, [queries][tokens]. */
  readonly queries: readonly (readonly number[])[];
  /** Token ids, [documents][tokens]. */
  readonly documents: readonly (readonly number[])[];
  /** Added to the logits, float32 [queries, documents]. */
  readonly bias: Float32Array;
}

export interface GradCacheOptions extends Omit<AccumulationOptions, 'build' | 'weights'> {
  /** Both towers. */
  readonly encoder: EncoderModel;
  /** Pads token ids to the longest of a chunk. */
  readonly pad: (rows: readonly (readonly number[])[]) => TokenBatch;
  /** Queries and documents of a batch. */
  readonly queries: number;
  readonly documents: number;
  /** Largest chunk, in tokens, padding included. */
  readonly chunkTokens: number;
  /**
   * Adds the loss of a whole batch from its vectors, [queries, dim] and [documents, dim]. It may train `LOGIT_SCALE`, where the encoder's
   * weights hold it.
   */
  readonly loss: (graph: Graph, inputs: Record<'queries' | 'documents' | 'bias', Value>) => Value;
}

type Tensors = Record<string, Tensor>;

/** Texts of one run: which rows of the batch, and their tokens. */
interface Chunk {
  readonly rows: readonly number[];
  readonly tokens: ReadonlyMap<string, TensorData>;
}

const tokensOf = ({ tokens }: Chunk): Tensors =>
  Object.fromEntries([...tokens].map(([name, data]) => [name, toTensor(data)]));

const GIVEN = 'given';
const GIVEN_SCALE = 'given.scale';

/** The encoder as a graph whose trained parameters are inputs: they change with every step. */
function encoderModel({ encoder, frozen }: GradCacheOptions): Uint8Array<ArrayBuffer> {
  const graph = new Graph();
  graph.output('embedding', embeddingOf(graph, encoder, tokenInputs(graph, ['batch', 'tokens'])));
  return emitModel(graph, { name: 'encoder', initializers: frozenWeights(encoder.weights, frozen) });
}

/** Loss of a batch and its gradient with respect to the vectors. */
function lossModel({ encoder, queries, documents, loss }: GradCacheOptions): Uint8Array<ArrayBuffer> {
  const graph = new Graph();
  const dimension = encoder.config.hidden_size;
  const inputs = {
    queries: graph.input('queries', 'float32', [queries, dimension]),
    documents: graph.input('documents', 'float32', [documents, dimension]),
    bias: graph.input('bias', 'float32', [queries, documents]),
  };
  const value = loss(graph, inputs);
  const scale = graph.nodes.filter((node) => node.op === 'parameter');
  const names = ['queries.gradient', 'documents.gradient', GIVEN_SCALE];
  backward(graph, value, [inputs.queries, inputs.documents, ...scale]).forEach((gradient, i) => {
    graph.output(names[i]!, gradient);
  });
  graph.output('loss', value);
  return emitModel(graph, { name: 'loss' });
}

/** Gradient and update of a chunk: the surrogate loss is sum(vectors * given gradient). */
function accumulation(options: GradCacheOptions): CompiledAccumulation {
  const { encoder, frozen, schedule, optimizer, clipNorm, ema = 0 } = options;
  return compileAccumulation({
    frozen,
    schedule,
    optimizer,
    clipNorm,
    ema,
    weights: encoder.weights,
    build(graph) {
      const vectors = embeddingOf(graph, encoder, tokenInputs(graph, ['batch', 'tokens']));
      const given = graph.input(GIVEN, 'float32', vectors.shape);
      const surrogate = graph.sum(graph.times(vectors, given), [0, 1]);
      if (!encoder.weights.has(LOGIT_SCALE)) return surrogate;
      return graph.plus(
        surrogate,
        graph.times(graph.parameter(LOGIT_SCALE, []), graph.input(GIVEN_SCALE, 'float32', [])),
      );
    },
  });
}

/** Trains on the CPU; the state is held between steps. */
export class GradCacheRunner implements StepRunner<GradCacheBatch> {
  readonly stepsPerCall = 1;
  readonly #options: GradCacheOptions;
  readonly #encoder: InferenceSession;
  readonly #lossOf: InferenceSession;
  readonly #accumulator: Accumulator;
  readonly #trained: readonly string[];

  private constructor(
    options: GradCacheOptions,
    parts: {
      encoder: InferenceSession;
      lossOf: InferenceSession;
      accumulator: Accumulator;
      trained: readonly string[];
    },
  ) {
    this.#options = options;
    this.#encoder = parts.encoder;
    this.#lossOf = parts.lossOf;
    this.#accumulator = parts.accumulator;
    this.#trained = parts.trained;
  }

  /** @param start.state Where to start; default the encoder's weights. `threads` 0 (default) takes one a core. */
  static async open(
    options: GradCacheOptions,
    { state, threads = 0 }: { state?: Weights | undefined; threads?: number } = {},
  ): Promise<GradCacheRunner> {
    const compiled = accumulation(options);
    const open = (model: Uint8Array) =>
      InferenceSession.create(model, { intraOpNumThreads: threads, logSeverityLevel: 3 });
    return new GradCacheRunner(options, {
      encoder: await open(encoderModel(options)),
      lossOf: await open(lossModel(options)),
      accumulator: await Accumulator.open(compiled, { state: state ?? compiled.initialState, threads }),
      trained: compiled.trained,
    });
  }

  async run({ queries, documents, bias }: GradCacheBatch): Promise<Report> {
    const chunks = this.#chunks([...queries, ...documents]);
    const parameters = await this.#parameters();
    const vectors = await this.#encode(chunks, { parameters, rows: queries.length + documents.length });
    const { given, scale, loss } = await this.#loss(vectors, { bias, scale: parameters[LOGIT_SCALE] });
    await this.#addGradients(chunks, { given, scale });
    return { loss, ...(await this.#accumulator.update()) };
  }

  async runAll(steps: readonly GradCacheBatch[]): Promise<Report[]> {
    const reports: Report[] = [];
    for (const inputs of steps) reports.push(await this.run(inputs));
    return reports;
  }

  state = (): Promise<Map<string, TensorData>> => this.#accumulator.state();

  async close(): Promise<void> {
    await this.#encoder.release();
    await this.#lossOf.release();
    await this.#accumulator.close();
  }

  /** The rows in chunks of similar length. */
  #chunks(rows: readonly (readonly number[])[]): Chunk[] {
    const order = [...rows.keys()].sort((a, b) => rows[a]!.length - rows[b]!.length || a - b);
    const chunks: Chunk[] = [];
    for (let start = 0; start < order.length; ) {
      let end = start + 1;
      while (end < order.length && rows[order[end]!]!.length * (end + 1 - start) <= this.#options.chunkTokens) end++;
      const members = order.slice(start, end);
      chunks.push({
        rows: members,
        tokens: new Map(tokenTensors(this.#options.pad(members.map((row) => rows[row]!)))),
      });
      start = end;
    }
    return chunks;
  }

  async #parameters(): Promise<Tensors> {
    const state = await this.#accumulator.state();
    return Object.fromEntries(this.#trained.map((name) => [name, toTensor(state.get(name)!)]));
  }

  /** Vectors of all rows, [rows, dim]. */
  async #encode(
    chunks: readonly Chunk[],
    { parameters: { [LOGIT_SCALE]: _, ...parameters }, rows }: { parameters: Tensors; rows: number },
  ): Promise<Float32Array<ArrayBuffer>> {
    const dimension = this.#options.encoder.config.hidden_size;
    const vectors = new Float32Array(rows * dimension);
    for (const chunk of chunks) {
      const { embedding } = await this.#encoder.run({ ...tokensOf(chunk), ...parameters });
      const values = embedding!.data as Float32Array;
      chunk.rows.forEach((row, i) => {
        vectors.set(values.subarray(i * dimension, (i + 1) * dimension), row * dimension);
      });
    }
    return vectors;
  }

  /** The loss, its gradient with respect to all vectors [rows, dim], and with respect to the logit scale where that is trained. */
  async #loss(
    vectors: Float32Array<ArrayBuffer>,
    { bias, scale }: { bias: Float32Array; scale: Tensor | undefined },
  ): Promise<{ loss: number; given: Float32Array; scale: number }> {
    const { queries, documents, encoder } = this.#options;
    const dimension = encoder.config.hidden_size;
    const split = queries * dimension;
    const results = await this.#lossOf.run({
      queries: new Tensor('float32', vectors.subarray(0, split), [queries, dimension]),
      documents: new Tensor('float32', vectors.subarray(split), [documents, dimension]),
      bias: new Tensor('float32', bias, [queries, documents]),
      ...(scale ? { [LOGIT_SCALE]: scale } : {}),
    });
    const values = (name: string) => results[name]?.data as Float32Array | undefined;
    const given = new Float32Array(vectors.length);
    given.set(values('queries.gradient')!);
    given.set(values('documents.gradient')!, split);
    const loss = values('loss')![0]!;
    requireFinite({ loss });
    return { loss, given, scale: values(GIVEN_SCALE)?.[0] ?? 0 };
  }

  /** Adds the gradients of the trained parameters over all chunks. */
  async #addGradients(
    chunks: readonly Chunk[],
    { given, scale }: { given: Float32Array; scale: number },
  ): Promise<void> {
    const { encoder } = this.#options;
    const dimension = encoder.config.hidden_size;
    for (const [i, { rows, tokens }] of chunks.entries()) {
      const part = new Float32Array(rows.length * dimension);
      rows.forEach((row, at) => {
        part.set(given.subarray(row * dimension, (row + 1) * dimension), at * dimension);
      });
      const inputs = new Map(tokens).set(GIVEN, { dtype: 'float32', shape: [rows.length, dimension], data: part });
      if (encoder.weights.has(LOGIT_SCALE)) {
        // The whole batch has one gradient of the scale: it joins with the first chunk.
        inputs.set(GIVEN_SCALE, { dtype: 'float32', shape: [], data: Float32Array.of(i === 0 ? scale : 0) });
      }
      await this.#accumulator.add(inputs);
    }
  }
}
