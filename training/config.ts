/** The recipe's configuration: parsed and completed once, then frozen. `default.config.ts` documents every setting. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { HarnessError } from '../shared/problem.ts';
import { DEVICES } from './runner/runner.ts';
import { Data } from './settings/data.ts';
import { Adapt, Align, Finetune, Floors, Harden, Refine, Student } from './settings/phases.ts';
import { TeacherSettings } from './settings/teacher.ts';

/** Every setting of the recipe; nothing else is allowed. */
export const RecipeConfig = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits and . _ -'),
  seed: z.int().nonnegative(),
  threads: z.int().nonnegative(),
  device: z.enum(DEVICES).default('cpu'),
  teacher: TeacherSettings,
  data: Data,
  finetune: Finetune,
  adapt: Adapt,
  student: Student,
  align: Align,
  refine: Refine,
  harden: Harden.default([]),
  floors: Floors,
  export: z.strictObject({
    weightLimit: z.union([z.literal(63), z.literal(127)]),
    calibrationTexts: z.int().nonnegative(),
    fp16: z.boolean(),
    spelling: z.boolean().default(true),
    headQueries: z.int().nonnegative().default(2_000),
  }),
  evaluate: z.strictObject({
    bootstrapSamples: z.int().positive(),
    speedTexts: z.int().positive(),
    curveQueries: z.int().nonnegative(),
  }),
});
/** Settings, completed. */
export type RecipeConfig = z.infer<typeof RecipeConfig>;
/** As a file says it: what has a default may be left out. */
export type RecipeSettings = z.input<typeof RecipeConfig>;

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
