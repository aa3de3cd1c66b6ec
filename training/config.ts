/** The recipe's configuration: parsed and completed once, then frozen. `default.config.ts` documents every setting. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { HarnessError } from '../shared/problem.ts';

const share = z.number().min(0).max(1);

/** Settings that every phase has. */
const optimization = {
  steps: z.int().positive(),
  batch: z.int().positive(),
  learningRate: z.number().positive(),
  warmupSteps: z.int().nonnegative(),
  finalRate: share,
  weightDecay: z.number().nonnegative(),
  beta1: share,
  beta2: share,
  epsilon: z.number().positive(),
  clipNorm: z.number().positive(),
};
const checkpointEvery = z.int().positive();

export const RecipeConfig = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits and . _ -'),
  seed: z.int().nonnegative(),
  teacher: z.string().min(1),
  threads: z.int().nonnegative(),
  data: z.strictObject({
    folder: z.string().min(1),
    maxBadShare: share,
    generalShare: z.number().min(0).max(0.95),
    parts: z.int().positive(),
  }),
  student: z.strictObject({
    layers: z.int().positive(),
    select: z.union([z.enum(['importance', 'even']), z.array(z.int().nonnegative()).min(1)]),
    maxTokens: z.int().min(8),
  }),
  align: z.strictObject({ ...optimization, trainWords: z.boolean(), checkpointEvery }),
  refine: z.strictObject({
    ...optimization,
    steps: z.int().nonnegative(),
    temperature: z.number().positive(),
    falseNegativeMargin: z.number().nonnegative(),
    negatives: z.strictObject({ depth: z.int().positive(), cap: share }),
    checkpointEvery,
  }),
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
    teacher = config.teacher,
    folder = config.data.folder,
    seed = config.seed,
    steps = config.align.steps,
  } = overrides;
  return frozen({ ...config, teacher, seed, data: { ...config.data, folder }, align: { ...config.align, steps } });
}
