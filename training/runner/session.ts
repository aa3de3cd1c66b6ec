/** An ONNX Runtime session over the two token inputs of an encoder graph; shared by encoding, calibration and measurement. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { type Graph, reachable } from '../graph/graph.ts';
import { emitModel } from '../onnx/emit.ts';
import type { TensorData } from '../onnx/model.ts';
import type { TokenBatch } from '../teacher/tokenizer.ts';

export interface TokenSession {
  /** Outputs by name. */
  run(batch: TokenBatch): Promise<InferenceSession.OnnxValueMapType>;
  close(): Promise<void>;
}

export interface SessionOptions {
  /** 0 (default) takes one thread a core. */
  readonly threads?: number | undefined;
  /** Values that the model leaves out, by name. */
  readonly external?: ReadonlyMap<string, TensorData>;
}

export async function openSession(
  model: Uint8Array,
  { threads = 0, external = new Map() }: SessionOptions = {},
): Promise<TokenSession> {
  const session = await InferenceSession.create(model, {
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
    // A pool that waits must not take the cores from whatever computes meanwhile: encoders are timed in turn.
    extra: { 'session.intra_op.allow_spinning': '0' },
    externalData: [...external].map(([path, { data }]) => ({
      path,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })),
  });
  return {
    run: ({ inputIds, attentionMask, batch, tokens }) =>
      session.run({
        input_ids: new Tensor('int64', inputIds, [batch, tokens]),
        attention_mask: new Tensor('int64', attentionMask, [batch, tokens]),
      }),
    close: () => session.release(),
  };
}

/** A session over a graph with its weights beside it: the bytes of a model end at 2 GB, and nothing is copied into them. */
export function openGraph(
  graph: Graph,
  {
    weights,
    threads = 0,
  }: { readonly weights: ReadonlyMap<string, TensorData>; readonly threads?: number | undefined },
): Promise<TokenSession> {
  const model = emitModel(graph, { name: 'graph', initializers: weights, external: true });
  const used = new Set(reachable(graph).flatMap((node) => (node.op === 'parameter' ? [node.attributes.name] : [])));
  return openSession(model, { threads, external: new Map([...weights].filter(([name]) => used.has(name))) });
}
