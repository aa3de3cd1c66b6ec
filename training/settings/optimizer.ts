/** What the configuration may say about an optimizer; nn/optimizers/settings.ts says what each setting means. */
import { z } from 'zod';
import { SCHEDULES } from '../nn/optimizers/schedule.ts';

/** A share, 0 to 1. */
export const share = z.number().min(0).max(1);

/** Settings that every optimizer has (nn/optimizers/settings.ts says what they mean). */
const shared = {
  learningRate: z.number().positive(),
  warmupSteps: z.int().nonnegative(),
  schedule: z.enum(SCHEDULES).default('linear'),
  finalRate: share,
  decayShare: share.default(0.1),
  weightDecay: z.number().nonnegative(),
  clipNorm: z.number().positive(),
  ema: z.number().min(0).max(0.9999).default(0),
};
/** Batches an update; phase 1 has none of it, its batches are as large as they are asked to be. */
export const accumulate = z.int().positive().default(1);
const moments = { beta1: share, beta2: share, epsilon: z.number().positive() };

/** A phase's settings with those of its optimizer, which is chosen by name. */
export const trained = <S extends z.core.$ZodLooseShape>(phase: S) =>
  z.discriminatedUnion('optimizer', [
    z.strictObject({ ...phase, ...shared, ...moments, optimizer: z.literal('adamw') }),
    z.strictObject({ ...phase, ...shared, beta1: share, beta2: share, optimizer: z.literal('lion') }),
    z.strictObject({ ...phase, ...shared, ...moments, momentum: share, optimizer: z.literal('muon') }),
  ]);
