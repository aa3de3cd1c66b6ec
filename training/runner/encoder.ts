/** Runs an inference graph over texts: vectors in the order asked, batches of similar length inside. */
import { Graph } from '../graph/graph.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { type EncoderShape, embeddingOf, embeddingWidth } from '../nn/encoder.ts';
import { emitModel } from '../onnx/emit.ts';
import { halve } from '../onnx/half.ts';
import { quantize } from '../onnx/quantize.ts';
import { type ChannelRanges, rangeGraph, rangeName } from '../onnx/smooth.ts';
import type { Weights } from '../teacher/checkpoint.ts';
import type { TextTokenizer, TokenBatch } from '../teacher/tokenizer.ts';
import { openGraph, openSession, type TokenSession } from './session.ts';

/** What computes a vector: the encoder's shape, and the parameters. */
export interface EncoderModel extends EncoderShape {
  readonly weights: Weights;
}

function addEncoder(graph: Graph, model: EncoderModel): void {
  graph.output('embedding', embeddingOf(graph, model, tokenInputs(graph, ['batch', 'tokens'])));
}

/** @param fused Whether layers may be operators that only newer runtimes, and not all devices, have. */
function encoderGraph(model: EncoderModel, { fused }: { fused: boolean } = { fused: true }): Graph {
  const graph = new Graph({ fused });
  addEncoder(graph, model);
  return graph;
}

/** The inference graph with dynamic batch and tokens, as ONNX bytes, 2 GB at most. Output: `embedding`, float32 [batch, dim]. */
export function floatModel(model: EncoderModel): Uint8Array<ArrayBuffer> {
  return emitModel(encoderGraph(model), { name: 'encoder', initializers: model.weights });
}

/** As `floatModel`, with int8 weights and tables; smoothed where channel ranges are given. */
export function int8Model(
  model: EncoderModel,
  { weightLimit, ranges }: { weightLimit: 63 | 127; ranges?: ChannelRanges },
): Uint8Array<ArrayBuffer> {
  const small = quantize(encoderGraph(model), { weights: model.weights, weightLimit, ...(ranges ? { ranges } : {}) });
  return emitModel(small.graph, { name: 'encoder', initializers: small.weights });
}

/** As `floatModel`, with products in float16 and matrices stored in it: half the size, for GPUs, which have no int8 kernels. */
export function halfModel(model: EncoderModel): Uint8Array<ArrayBuffer> {
  const half = halve(encoderGraph(model, { fused: false }), model.weights);
  return emitModel(half.graph, { name: 'encoder', initializers: half.weights });
}

/** Channel ranges over calibration texts, one text at a time: padding would count as data. */
export async function channelRanges(
  model: EncoderModel,
  { texts, tokenizer }: { texts: readonly string[]; tokenizer: TextTokenizer },
): Promise<ChannelRanges> {
  const graph = rangeGraph((target) => addEncoder(target, model));
  const session = await openGraph(graph, { weights: model.weights });
  const ranges = new Map<string, Float32Array>();
  const measured = [...model.weights.keys()].filter((name) => graph.outputs.has(rangeName(name)));
  for (const text of texts) {
    const results = await session.run(tokenizer.pad([tokenizer.encode(text)]));
    for (const name of measured) {
      const seen = results[rangeName(name)]!.data as Float32Array;
      const widest = ranges.get(name);
      if (!widest) ranges.set(name, Float32Array.from(seen));
      else for (let i = 0; i < seen.length; i++) widest[i] = Math.max(widest[i]!, seen[i]!);
    }
  }
  await session.close();
  return ranges;
}

export interface EncodeOptions {
  /** Bound on a batch's padded size, in tokens. */
  readonly batchTokens?: number;
  /** Told how many texts are done. */
  readonly onProgress?: (done: number) => void;
}

export class TextEncoderSession {
  readonly dimension: number;
  readonly tokenizer: TextTokenizer;
  readonly #session: TokenSession;

  private constructor(
    session: TokenSession,
    { tokenizer, dimension }: { tokenizer: TextTokenizer; dimension: number },
  ) {
    this.#session = session;
    this.tokenizer = tokenizer;
    this.dimension = dimension;
  }

  /**
   * @param model ONNX bytes, or a model of any size, which then runs in fp32 from its own weights.
   * @param threads 0 takes one thread a core.
   */
  static async open(
    model: Uint8Array | EncoderModel,
    {
      tokenizer,
      dimension,
      threads = 0,
    }: { tokenizer: TextTokenizer; dimension: number; threads?: number | undefined },
  ): Promise<TextEncoderSession> {
    const session = await (model instanceof Uint8Array
      ? openSession(model, { threads })
      : openGraph(encoderGraph(model), { weights: model.weights, threads }));
    return new TextEncoderSession(session, { tokenizer, dimension });
  }

  /** Vectors [batch, dim] of one padded batch. */
  async run(batch: TokenBatch): Promise<Float32Array> {
    const { embedding } = await this.#session.run(batch);
    return embedding!.data as Float32Array;
  }

  /**
   * Vectors of texts, [texts, dim], in their order. Only texts of one length share a batch: there is no padding, and in fp32 a text's vector
   * is the same, bit for bit, whatever it was computed with.
   */
  async encode(
    texts: readonly string[],
    { batchTokens = 2048, onProgress = () => {} }: EncodeOptions = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    const rows = texts.map((text) => this.tokenizer.encode(text));
    const vectors = new Float32Array(rows.length * this.dimension);
    const order = [...rows.keys()].sort((a, b) => rows[a]!.length - rows[b]!.length || a - b);
    for (let start = 0; start < order.length; ) {
      let end = start + 1;
      const tokens = rows[order[start]!]!.length;
      while (end < order.length && rows[order[end]!]!.length === tokens && tokens * (end + 1 - start) <= batchTokens)
        end++;
      const batch = order.slice(start, end);
      const result = await this.run(this.tokenizer.pad(batch.map((i) => rows[i]!)));
      batch.forEach((row, i) => {
        vectors.set(result.subarray(i * this.dimension, (i + 1) * this.dimension), row * this.dimension);
      });
      start = end;
      onProgress(end);
    }
    return vectors;
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** Vectors of texts, [texts, dim], by a session that lives for the call. */
export async function encodeTexts(
  model: EncoderModel,
  texts: readonly string[],
  { tokenizer, threads }: { tokenizer: TextTokenizer; threads?: number | undefined },
): Promise<Float32Array<ArrayBuffer>> {
  const session = await TextEncoderSession.open(model, { tokenizer, dimension: embeddingWidth(model), threads });
  const vectors = await session.encode(texts);
  await session.close();
  return vectors;
}
