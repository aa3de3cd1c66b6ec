/**
 * Phase 2, alignment: the student reads the query and regresses the frozen teacher's vector of it (squared L2), as in HARNESS-LM
 * (arXiv 2605.23572). No labels: any text that users type will do.
 *
 * Everything a step depends on is in the state file or follows from the seed and the step number, so a run that was killed goes on where
 * its last checkpoint was and ends in the same bytes.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { RecipeConfig } from '../config.ts';
import { batchCount, lengthBatches } from '../data/batches.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { readTensors, writeTensors } from '../data/tensor-file.ts';
import { bertEmbedding, tokenInputs, WORD_TABLE } from '../nn/bert.ts';
import { squaredDistance } from '../nn/losses.ts';
import type { TensorData } from '../onnx/model.ts';
import { CpuRunner } from '../runner/cpu.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { type CompiledStep, compileStep, type Report } from '../runner/step.ts';
import type { StoredVectors } from '../teacher/targets.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';

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

/** Mean loss over the steps up to and including `step`, since the entry before. */
export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

export interface Aligned {
  readonly student: EncoderModel;
  readonly losses: readonly LossPoint[];
}

const History = z.array(z.object({ step: z.number(), loss: z.number() }));

/** The training graph of the alignment step: [batch, tokens] with a known batch, tokens as they come. */
export function alignmentStep({ student, settings }: Pick<AlignOptions, 'student' | 'settings'>): CompiledStep {
  const { config, pooling, weights } = student;
  return compileStep({
    build(graph) {
      const embedding = bertEmbedding(graph, config, { ...tokenInputs(graph, [settings.batch, 'tokens']), pooling });
      return squaredDistance(graph, embedding, graph.input('target', 'float32', [settings.batch, config.hidden_size]));
    },
    weights,
    frozen: (name) => name === WORD_TABLE && !settings.trainWords,
    schedule: {
      peak: settings.learningRate,
      warmupSteps: settings.warmupSteps,
      totalSteps: settings.steps,
      floor: settings.finalRate,
    },
    adamW: settings,
    clipNorm: settings.clipNorm,
  });
}

interface Batch {
  readonly step: number;
  readonly inputs: ReadonlyMap<string, TensorData>;
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
export async function align(options: AlignOptions): Promise<Aligned> {
  const { student, settings, folder, threads = 0, onStep = () => {} } = options;
  const path = join(folder, 'state.safetensors');
  const compiled = alignmentStep(options);
  let state = compiled.initialState;
  let done = 0;
  let losses: LossPoint[] = [];
  if (existsSync(path)) {
    const stored = await readTensors(path);
    state = stored.tensors;
    done = Number(stored.metadata.step);
    losses = History.parse(JSON.parse(stored.metadata.losses!));
  }

  const runner = await CpuRunner.open(compiled, { state, threads });
  let sum = 0;
  let since = done;
  if (done < settings.steps) {
    for await (const { step, inputs } of batchesAfter(done, options)) {
      const report = await runner.run(inputs);
      sum += report.loss;
      onStep(step, report);
      if (step % settings.checkpointEvery === 0 || step === settings.steps) {
        losses.push({ step, loss: sum / (step - since) });
        sum = 0;
        since = step;
        await writeTensors(path, {
          tensors: runner.state(),
          metadata: { step: String(step), losses: JSON.stringify(losses) },
        });
      }
      if (step === settings.steps) break;
    }
  }
  const trained = runner.state();
  await runner.close();
  const weights = new Map([...student.weights].map(([name, tensor]) => [name, trained.get(name) ?? tensor]));
  return { student: { ...student, weights }, losses };
}
