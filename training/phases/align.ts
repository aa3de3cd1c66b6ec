/**
 * Phase 2, alignment: the student reads the query and regresses the frozen teacher's vector of it, by squared L2 unless told otherwise,
 * as in HARNESS-LM (arXiv 2605.23572). No labels: any text that users type will do.
 */
import { HarnessError } from '../../shared/problem.ts';
import { batchCount, lengthBatches } from '../data/batches.ts';
import { type Noise, withNoise } from '../data/noise.ts';
import { seeded, shuffle } from '../data/seeded.ts';
import { tokenInputs } from '../nn/architecture.ts';
import { embeddingOf, embeddingWidth, wordTable } from '../nn/encoder.ts';
import { matryoshka, type ObjectiveName, objective } from '../nn/objectives.ts';
import type { OptimizerSettings } from '../nn/optimizers/settings.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import { openRunner, type RunnerOptions } from '../runner/runner.ts';
import { type CompiledStep, compileStep, type Report } from '../runner/step.ts';
import { rowTensor, tokenTensors } from '../runner/step-inputs.ts';
import type { StoredVectors } from '../teacher/targets.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { type Batch, optimization, type Trained, type TrainOptions, train } from './train.ts';

/** Batches a window of similar lengths. */
const WINDOW = 64;

/** Training texts that are in memory together. */
export interface AlignmentPart {
  readonly rows: number;
  readonly read: () => Promise<StoredVectors>;
}

/** What alignment is set by. */
export type AlignSettings = OptimizerSettings & {
  /** Updates of `batch` texts each, times `accumulate`. */
  readonly steps: number;
  readonly batch: number;
  /** What is made small; default `l2`. */
  readonly objective?: ObjectiveName | undefined;
  /** Of the softmax over similarities in objective `kl`; default 0.05. */
  readonly temperature?: number | undefined;
  /** Lengths at which a cut vector must search as well, beside the full one; default none. */
  readonly matryoshka?: readonly number[] | undefined;
  /** Whether the word table is trained too. */
  readonly trainWords: boolean;
  /** Noise in what the texts are shown as; default none. */
  readonly noise?: Noise | undefined;
  /** Updates between checkpoints. */
  readonly checkpointEvery: number;
};

export interface AlignOptions extends Pick<RunnerOptions, 'device' | 'threads' | 'say'> {
  /** The pruned student. */
  readonly student: EncoderModel;
  readonly tokenizer: TextTokenizer;
  /** The training texts in parts: how many each holds, and how to read one with the teacher's vectors. */
  readonly parts: readonly AlignmentPart[];
  readonly settings: AlignSettings;
  readonly seed: number;
  /** Where state is kept; one folder a run. */
  readonly folder: string;
  readonly onStep?: (step: number, report: Report) => void;
  /** Measures the student at each checkpoint. */
  readonly measure?: TrainOptions<unknown>['measure'];
}

/** The training graph of the alignment step: [batch, tokens] with a known batch, tokens as they come. */
export function alignmentStep({ student, settings }: Pick<AlignOptions, 'student' | 'settings'>): CompiledStep {
  const { config, weights } = student;
  return compileStep({
    build(graph) {
      const embedding = embeddingOf(graph, student, tokenInputs(graph, [settings.batch, 'tokens']));
      const target = graph.input('target', 'float32', [settings.batch, embeddingWidth(student)]);
      const { objective: name = 'l2', matryoshka: lengths = [], temperature = 0.05 } = settings;
      return matryoshka(objective(name), lengths)(graph, embedding, target, { temperature });
    },
    weights,
    frozen: (name) => name === wordTable(config) && !settings.trainWords,
    ...optimization(settings),
  });
}

/** The batches from step `after` + 1 on, epoch after epoch; what was done before is skipped without being read. */
async function* batchesAfter(after: number, { parts, seed, settings, tokenizer }: AlignOptions): AsyncGenerator<Batch> {
  const { batch, noise } = settings;
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
        // A stream of its own a batch: what it draws does not depend on where the run began.
        const random = seeded(seed, 'noise', step);
        const shown = members.map((row) =>
          noise ? tokenizer.encode(withNoise(texts[row]!, noise, random)) : rows[row]!,
        );
        yield {
          step,
          inputs: new Map([...tokenTensors(tokenizer.pad(shown)), ['target', rowTensor(vectors, members, dimension)]]),
        };
      }
    }
    if (step === 0)
      throw new HarnessError(
        'configuration',
        `alignment: expected a part with a batch of ${batch} texts, the largest of ${parts.length} has ${Math.max(0, ...parts.map(({ rows }) => rows))}; ask for a smaller batch, or fewer data.parts.`,
      );
  }
}

/**
 * Trains, or continues training, to the last step. Killing the process at any moment loses at most `checkpointEvery`
 * steps.
 */
export function align(options: AlignOptions): Promise<Trained> {
  const { student, settings, device, threads, say, ...rest } = options;
  const { steps, checkpointEvery } = settings;
  const compiled = alignmentStep(options);
  return train(student, {
    ...rest,
    open: (state) => openRunner(compiled, { state, device, threads, say }),
    accumulate: compiled.accumulate,
    steps,
    checkpointEvery,
    batchesAfter: (after) => batchesAfter(after, options),
  });
}
