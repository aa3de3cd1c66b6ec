/** What the configuration may say about each phase of training; default.config.ts explains every setting. */
import { z } from 'zod';
import { EncoderConfig } from '../nn/encoder.ts';
import { OBJECTIVES } from '../nn/objectives.ts';
import { accumulate, share, trained } from './optimizer.ts';

/** Updates; 0 leaves the training out. */
const steps = z.int().nonnegative();
const batched = { batch: z.int().positive(), checkpointEvery: z.int().positive() };
const contrastive = { temperature: z.number().positive(), falseNegativeMargin: z.number().nonnegative() };

/** In what a student is shown (data/noise.ts). */
const noise = z.strictObject({ typos: share, dropped: share });

/** General text beside the queries of a batch (phases/refine.ts). */
const replay = z.strictObject({ texts: z.int().positive(), weight: z.number().positive() });

/** Phase 1 (phases/finetune.ts). */
export const Finetune = trained({
  steps,
  ...batched,
  chunkTokens: z.int().positive(),
  trainWords: z.boolean(),
  contextShare: share,
  ...contrastive,
  learnTemperature: z.boolean(),
  sameTower: z.boolean(),
  negatives: z.strictObject({ perQuery: z.int().nonnegative(), depth: z.int().positive(), cap: share }),
});
/** Phase 1 of a teacher that is not trained itself (phases/adapt.ts). */
export const Adapt = trained({
  steps,
  ...batched,
  accumulate,
  rank: z.int().positive(),
  hardNegatives: z.int().nonnegative(),
  ...contrastive,
  anchor: z.number().nonnegative(),
});
/** Phase 2 (phases/align.ts). */
export const Align = trained({
  steps: z.int().positive(),
  ...batched,
  accumulate,
  objective: z.enum(OBJECTIVES).default('l2'),
  temperature: z.number().positive().default(0.05),
  matryoshka: z.array(z.int().positive()).default([]),
  trainWords: z.boolean(),
  noise: noise.optional(),
});
/** Phase 3 (phases/refine.ts). */
export const Refine = trained({
  steps,
  ...batched,
  accumulate,
  ...contrastive,
  negatives: z.strictObject({
    depth: z.int().positive(),
    cap: share,
    perQuery: z.int().positive(),
    refreshEvery: z.int().nonnegative(),
  }),
  trainWords: z.boolean().optional(),
  distillation: z.number().nonnegative().optional(),
  noise: noise.optional(),
  replay: replay.optional(),
  clusters: z.int().nonnegative(),
  coClicks: z.strictObject({ weight: z.number().nonnegative(), perAd: z.int().positive() }),
});

/** A run of phase 3 from where it ended: what it does otherwise than before. */
const HardeningRun = z.strictObject({
  steps,
  learningRate: z.number().positive(),
  warmupSteps: z.int().nonnegative(),
  distillation: z.number().nonnegative().optional(),
  noise: noise.optional(),
  replay: replay.optional(),
});
/** What follows phase 3 (stages/refine.ts). */
export const Harden = z.array(HardeningRun);

const Stage = z.strictObject({
  layers: z.union([z.int().positive(), z.array(z.int().nonnegative()).min(1)]),
  intermediate: z.int().positive().optional(),
  share,
});

/** The student before training, and how it shrinks (phases/student.ts, phases/shrink.ts). */
export const Student = z.strictObject({
  from: z.union([
    z.literal('teacher'),
    z.strictObject({ checkpoint: z.string().min(1) }),
    z.strictObject({ scratch: EncoderConfig, tokenizer: z.string().min(1).optional() }),
  ]),
  stages: z.array(Stage).min(1),
  select: z.enum(['importance', 'even']),
  maxTokens: z.int().min(8),
});

/** What the student is measured against (floors/). */
export const Floors = z.strictObject({
  static: z.strictObject({
    dimension: z.int().positive(),
    sif: z.number().positive(),
    /** 0 leaves the floor out. */
    alignSteps: steps,
    refineSteps: steps,
    learningRate: z.number().positive(),
  }),
  naive: z.strictObject({ steps }),
});
