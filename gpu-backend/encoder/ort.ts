/**
 * One ONNX Runtime session over a bundle's student. A provider is asked for alone: with cpu listed behind it, one that
 * the runtime does not know would be left out silently, and one that cannot start throws all the same. So the fallback
 * is made here, and says why. Single operators that a provider lacks run on the CPU either way.
 */
import ort from 'onnxruntime-node';
import { HarnessError } from '../../shared/problem.ts';
import type { Device, DeviceName, Precision } from './encoder.ts';

// What goes wrong is thrown; the runtime would print it as well, bypassing the log.
ort.env.logLevel = 'fatal';

export interface Session {
  device: Device;
  /** ids and mask are [batch, tokens] int64; answers [batch, dimension] float32. Holds the calling thread while it runs. */
  run(ids: BigInt64Array, mask: BigInt64Array, shape: { batch: number; tokens: number }): Promise<Float32Array>;
  release(): Promise<void>;
}

export interface SessionOptions {
  /** The student as a file or its bytes, and in what precision it is. */
  model: string | Uint8Array<ArrayBuffer>;
  precision: Precision;
  /** The student in fp16, which GPUs run if there is one: they have no kernels for int8. */
  half?: string | Uint8Array<ArrayBuffer> | undefined;
  /** What messages call the student. */
  name: string;
  requested: DeviceName;
  /** Intra-op threads of this session. */
  threads: number;
  dimension: number;
}

const firstLine = (error: unknown) => String(error instanceof Error ? error.message : error).split('\n', 1)[0] ?? '';

async function create(
  model: string | Uint8Array<ArrayBuffer>,
  { threads, provider }: { threads: number; provider: DeviceName },
): Promise<ort.InferenceSession> {
  // The two overloads of the library, in one call.
  return ort.InferenceSession.create(model as string, {
    executionProviders: [provider],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    // Spinning threads would burn a core between queries for hundredths of a millisecond.
    extra: { 'session.intra_op.allow_spinning': '0' },
  });
}

/** Opens the model on the device requested, or on the CPU with the reason. Throws `bundle_damaged` when the CPU refuses it too. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { requested, dimension, model, half, precision, threads, name } = options;
  let device: Device = { requested, provider: 'cpu', precision };
  let session: ort.InferenceSession | undefined;
  if (requested !== 'cpu') {
    try {
      if (half === undefined && precision === 'int8')
        throw new Error(`${name} has no fp16 student beside the int8 one; publish it with export.fp16`);
      session = await create(half ?? model, { threads, provider: requested });
      device = { requested, provider: requested, precision: half === undefined ? precision : 'fp16' };
    } catch (error) {
      device.reason = `${requested} did not start: ${firstLine(error)}`;
    }
  }
  try {
    session ??= await create(model, { threads, provider: 'cpu' });
  } catch (cause) {
    throw new HarnessError(
      'bundle_damaged',
      `${name}: the runtime refuses the model (${firstLine(cause)}); publish the bundle again with npm run recipe.`,
      { cause },
    );
  }
  const open = session;
  return {
    device,
    async run(ids, mask, { batch, tokens }) {
      const feeds = {
        input_ids: new ort.Tensor('int64', ids, [batch, tokens]),
        attention_mask: new ort.Tensor('int64', mask, [batch, tokens]),
      };
      const { embedding } = await open.run(feeds, ['embedding']);
      const dims = embedding?.dims ?? [];
      if (embedding?.type !== 'float32' || dims[0] !== batch || dims[1] !== dimension) {
        throw new HarnessError(
          'bundle_damaged',
          `${name}: expected embedding float32 [${batch}, ${dimension}], got ${embedding?.type} [${dims.join(', ')}].`,
        );
      }
      return embedding.data as Float32Array;
    },
    release: () => open.release(),
  };
}
