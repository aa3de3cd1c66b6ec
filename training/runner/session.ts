/** An ONNX Runtime session over the two token inputs of an encoder graph; shared by encoding, calibration and measurement. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { TokenBatch } from '../teacher/tokenizer.ts';

export interface TokenSession {
  /** Outputs by name. */
  run(batch: TokenBatch): Promise<InferenceSession.OnnxValueMapType>;
  close(): Promise<void>;
}

/** @param threads 0 takes one thread a core. */
export async function openSession(model: Uint8Array, { threads = 0 } = {}): Promise<TokenSession> {
  const session = await InferenceSession.create(model, { intraOpNumThreads: threads, logSeverityLevel: 3 });
  return {
    run: ({ inputIds, attentionMask, batch, tokens }) =>
      session.run({
        input_ids: new Tensor('int64', inputIds, [batch, tokens]),
        attention_mask: new Tensor('int64', attentionMask, [batch, tokens]),
      }),
    close: () => session.release(),
  };
}
