/**
 * Phase 2, alignment: the student reads the query and regresses the frozen teacher's vector of it (squared L2), as in HARNESS-LM
 * (arXiv 2605.23572). No labels: any text that users type will do.
 */
import type { RecipeConfig } from '../config.ts';
import { batchCount, lengthBatches } from '../data/batches.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { embeddingOf, wordTable } from '../nn/encoder.ts';
import { squaredDistance } from '../nn/losses.ts';
import type { TensorData } from '../onnx/model.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { type CompiledStep, compileStep, type Report } from '../runner/step.ts';
import type { StoredVectors } from '../teacher/targets.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { type Batch, optimization, type Trained, train } from './train.ts';

/** Batches a window of similar lengths. */
const WINDOW = 64;

export interface AlignmentPart {
  readonly rows: number;
  readonly read: () => Promise<StoredVectors>;
}

export interface AlignOptions {
  /** The pruned student. */
  readonly student: EncoderModel;
  readonly tokenizer: TextTokenizer;
  /** The training texts in parts: how many each holds, and how to read one with the teacher's vectors. */
  readonly parts: readonly AlignmentPart[];
  readonly settings: RecipeConfig['align'];
  readonly seed: number;
  /** Where state is kept; one folder a run. */
  readonly folder: string;
  readonly threads?: number;
  readonly onStep?: (step: number, report: Report) => void;
}

/** The training graph of the alignment step: [batch, tokens] with a known batch, tokens as they come. */
export function alignmentStep({ student, settings }: Pick<AlignOptions, 'student' | 'settings'>): CompiledStep {
  const { config, weights } = student;
  return compileStep({
    build(graph) {
      const embedding = embeddingOf(graph, student, tokenInputs(graph, [settings.batch, 'tokens']));
      return squaredDistance(graph, embedding, graph.input('target', 'float32', [settings.batch, config.hidden_size]));
    },
    weights,
    frozen: (name) => name === wordTable(config) && !settings.trainWords,
    ...optimization(settings),
  });
}

/** The batches from step `after` + 1 on, epoch after epoch; what was done before is skipped without being read. */
async function* batchesAfter(after: number, { parts, seed, settings, tokenizer }: AlignOptions): AsyncGenerator<Batch> {
  const { batch } = settings;
  let step = 0;
  for (let epoch = 0; ; epoch++) {
    for (const index of shuffle([...parts.keys()], seeded(seed, 'parts', epoch))) {
      const part = parts[index]!;
      const count = batchCount(part.rows, batch);
      if (step + count <= after) {
        step += count;
        continue;
      }
      const { texts, vectors } = await part.read();
      const rows = texts.map((text) => tokenizer.encode(text));
      const dimension = vectors.length / texts.length;
      const lengths = rows.map((row) => row.length);
      for (const members of lengthBatches(lengths, {
        batch,
        window: WINDOW,
        random: seeded(seed, 'batches', epoch, index),
      })) {
        if (++step <= after) continue;
        const { inputIds, attentionMask, tokens } = tokenizer.pad(members.map((row) => rows[row]!));
        const target = new Float32Array(batch * dimension);
        members.forEach((row, i) => {
          target.set(vectors.subarray(row * dimension, (row + 1) * dimension), i * dimension);
        });
        yield {
          step,
          inputs: new Map<string, TensorData>([
            ['input_ids', { dtype: 'int64', shape: [batch, tokens], data: inputIds }],
            ['attention_mask', { dtype: 'int64', shape: [batch, tokens], data: attentionMask }],
            ['target', { dtype: 'float32', shape: [batch, dimension], data: target }],
          ]),
        };
      }
    }
    if (step === 0) throw new Error(`no part holds a batch of ${batch} texts`);
  }
}

/** Trains, or goes on training, to the last step. Killing the process at any moment loses at most `checkpointEvery` steps. */
export function align(options: AlignOptions): Promise<Trained> {
  const { student, settings, ...rest } = options;
  const { steps, checkpointEvery } = settings;
  const compiled = alignmentStep(options);
  return train(student, {
    ...rest,
    compiled,
    steps,
    checkpointEvery,
    batchesAfter: (after) => batchesAfter(after, options),
  });
}
