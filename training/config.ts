/** The recipe's configuration: parsed and completed once, then frozen. `default.config.ts` documents every setting. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { HarnessError } from '../shared/problem.ts';

const share = z.number().min(0).max(1);
const steps = z.int().nonnegative();

/** Settings that every training has. */
const optimization = {
  batch: z.int().positive(),
  learningRate: z.number().positive(),
  warmupSteps: z.int().nonnegative(),
  finalRate: share,
  weightDecay: z.number().nonnegative(),
  beta1: share,
  beta2: share,
  epsilon: z.number().positive(),
  clipNorm: z.number().positive(),
  checkpointEvery: z.int().positive(),
};
const contrastive = {
  temperature: z.number().positive(),
  falseNegativeMargin: z.number().nonnegative(),
};
const negatives = { depth: z.int().positive(), cap: share };

export const RecipeConfig = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits and . _ -'),
  seed: z.int().nonnegative(),
  threads: z.int().nonnegative(),
  teacher: z.strictObject({ from: z.string().min(1), context: z.boolean() }),
  data: z.strictObject({
    folder: z.string().min(1),
    maxBadShare: share,
    generalShare: z.number().min(0).max(0.95),
    parts: z.int().positive(),
  }),
  finetune: z.strictObject({
    steps,
    ...optimization,
    chunkTokens: z.int().positive(),
    trainWords: z.boolean(),
    contextShare: share,
    ...contrastive,
    learnTemperature: z.boolean(),
    sameTower: z.boolean(),
    negatives: z.strictObject({ ...negatives, perQuery: z.int().nonnegative() }),
  }),
  student: z.strictObject({
    layers: z.int().positive(),
    select: z.union([z.enum(['importance', 'even']), z.array(z.int().nonnegative()).min(1)]),
    maxTokens: z.int().min(8),
  }),
  align: z.strictObject({ steps: z.int().positive(), ...optimization, trainWords: z.boolean() }),
  refine: z.strictObject({ steps, ...optimization, ...contrastive, negatives: z.strictObject(negatives) }),
  export: z.strictObject({
    weightLimit: z.union([z.literal(63), z.literal(127)]),
    calibrationTexts: z.int().nonnegative(),
  }),
  evaluate: z.strictObject({
    bootstrapSamples: z.int().positive(),
    speedTexts: z.int().positive(),
  }),
});
export type RecipeConfig = z.infer<typeof RecipeConfig>;

function frozen<T>(value: T): T {
  if (value !== null && typeof value === 'object') {
    for (const part of Object.values(value)) frozen(part);
    Object.freeze(value);
  }
  return value;
}

/** Reads a configuration file (.ts, .js with a default export, or .json), lays the command line's settings over it, and checks it. */
export async function loadConfig(
  file: string,
  overrides: {
    teacher?: string | undefined;
    folder?: string | undefined;
    seed?: number | undefined;
    steps?: number | undefined;
  },
): Promise<RecipeConfig> {
  let module: { default?: unknown };
  try {
    const url = pathToFileURL(resolve(file)).href;
    module = file.endsWith('.json') ? await import(url, { with: { type: 'json' } }) : await import(url);
  } catch (cause) {
    throw new HarnessError(
      'configuration',
      `${file}: expected a configuration with a default export: ${(cause as Error).message}`,
      { cause },
    );
  }
  const parsed = RecipeConfig.safeParse(module.default);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new HarnessError('configuration', `${file}: ${issue.path.join('.') || 'configuration'}: ${issue.message}`);
  }
  const config = parsed.data;
  const {
    teacher: from = config.teacher.from,
    folder = config.data.folder,
    seed = config.seed,
    steps = config.align.steps,
  } = overrides;
  return frozen({
    ...config,
    teacher: { ...config.teacher, from },
    seed,
    data: { ...config.data, folder },
    align: { ...config.align, steps },
  });
}
