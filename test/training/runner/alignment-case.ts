/** A small alignment step of the golden checkpoint, and batches of several lengths for it: what the runners are compared on. */
import { seeded } from '../../../training/data/seeded.ts';
import type { TensorData } from '../../../training/onnx/model.ts';
import { alignmentStep } from '../../../training/phases/align.ts';
import { prune } from '../../../training/phases/prune.ts';
import type { EncoderModel } from '../../../training/runner/encoder.ts';
import type { StepInputs } from '../../../training/runner/runner.ts';
import type { CompiledStep } from '../../../training/runner/step.ts';
import { readCheckpoint, type Weights } from '../../../training/teacher/checkpoint.ts';
import { TINY } from '../golden.ts';

const BATCH = 8;
const STEPS = 10;

export interface AlignmentCase {
  readonly student: EncoderModel;
  readonly compiled: CompiledStep;
  /** Ten batches of 3 to 7 tokens. */
  readonly batches: readonly StepInputs[];
}

export async function alignmentCase({ trainWords = false } = {}): Promise<AlignmentCase> {
  const student = prune(await readCheckpoint(TINY), { keep: [0, 2], maxTokens: 12 });
  const random = seeded(1, 'alignment case');
  const batches = Array.from({ length: STEPS }, (_, step) => {
    const tokens = 3 + (step % 5);
    const lengths = Array.from({ length: BATCH }, (_, row) =>
      row === 0 ? tokens : 2 + Math.floor(random() * (tokens - 1)),
    );
    const mask = lengths.flatMap((length) => Array.from({ length: tokens }, (_, i) => (i < length ? 1n : 0n)));
    const ids = mask.map((one) =>
      one === 1n ? BigInt(1 + Math.floor(random() * (student.config.vocab_size - 1))) : 0n,
    );
    const width = student.config.hidden_size;
    const target = Float32Array.from({ length: BATCH * width }, () => (random() - 0.5) / Math.sqrt(width / 12));
    return new Map<string, TensorData>([
      ['input_ids', { dtype: 'int64', shape: [BATCH, tokens], data: BigInt64Array.from(ids) }],
      ['attention_mask', { dtype: 'int64', shape: [BATCH, tokens], data: BigInt64Array.from(mask) }],
      ['target', { dtype: 'float32', shape: [BATCH, width], data: target }],
    ]);
  });
  const settings = {
    steps: STEPS,
    batch: BATCH,
    learningRate: 2e-3,
    warmupSteps: 2,
    finalRate: 0.1,
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-6,
    clipNorm: 1,
    trainWords,
    checkpointEvery: 5,
  };
  return { student, compiled: alignmentStep({ student, settings }), batches };
}

/** The largest difference between two states, in any of their values. */
export function largestDifference(a: Weights, b: Weights): number {
  let largest = a.size === b.size ? 0 : Number.POSITIVE_INFINITY;
  for (const [name, { data }] of a) {
    const other = b.get(name)!.data;
    for (let i = 0; i < data.length; i++) largest = Math.max(largest, Math.abs(Number(data[i]) - Number(other[i])));
  }
  return largest;
}
