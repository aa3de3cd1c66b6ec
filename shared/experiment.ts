/**
 * Who sees what: layers, experiments and arms (overlapping experiments, Tang et al., KDD 2010).
 * A unit falls into one of 10,000 buckets of each layer; an experiment owns a range of its layer's buckets, so experiments
 * of one layer exclude each other and layers are independent. Inside an experiment a second, independent hash picks the
 * arm by weight, so widening the range (ramp-up) moves nobody who is already in.
 */
import { z } from 'zod';
import { PlanPatch } from './plan.ts';

export const BUCKETS = 10_000;
const Key = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'expected lower-case letters, digits and hyphens, at most 64');

export const Arm = z.strictObject({ key: Key, weight: z.number().positive(), parameters: PlanPatch });
export type Arm = z.infer<typeof Arm>;

export const Experiment = z
  .strictObject({
    key: Key,
    layer: Key,
    description: z.string().max(500).default(''),
    status: z.enum(['draft', 'running', 'stopped']),
    /** Half-open range of the layer's buckets. */
    buckets: z.tuple([z.int().min(0).max(BUCKETS), z.int().min(0).max(BUCKETS)]),
    /** The arm that the others are compared with. */
    control: Key,
    arms: z.array(Arm).min(2).max(20),
  })
  .refine(({ buckets: [from, to] }) => from < to, { path: ['buckets'], message: 'expected [from, to) with from < to' })
  .refine(({ arms }) => new Set(arms.map(({ key }) => key)).size === arms.length, {
    path: ['arms'],
    message: 'expected distinct arm keys',
  })
  .refine(({ arms, control }) => arms.some(({ key }) => key === control), {
    path: ['control'],
    message: 'expected the key of one of the arms',
  })
  .meta({ id: 'Experiment' });
export type Experiment = z.infer<typeof Experiment>;

export const Assignment = z
  .object({ experiment: z.string(), layer: z.string(), arm: z.string() })
  .meta({ id: 'Assignment' });
export type Assignment = z.infer<typeof Assignment>;

const encoder = new TextEncoder();

/**
 * 32-bit hash of UTF-8 text: FNV-1a (RFC 9923) with the salt as prefix, then the finaliser of MurmurHash3. FNV-1a alone
 * leaves assignments of similarly named experiments correlated; the finaliser removes that. Easy to repeat in SQL.
 */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of encoder.encode(text)) h = Math.imul(h ^ byte, 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Bucket 0 .. 9,999 of a unit under a salt. */
export function bucket(salt: string, unitId: string): number {
  return Math.floor((hash32(`${salt}:${unitId}`) / 0x1_0000_0000) * BUCKETS);
}

/** The arm of a unit inside an experiment, by weight. */
export function armOf(experiment: Experiment, unitId: string): Arm {
  const total = experiment.arms.reduce((sum, { weight }) => sum + weight, 0);
  const point = (hash32(`arm:${experiment.key}:${unitId}`) / 0x1_0000_0000) * total;
  let reached = 0;
  for (const arm of experiment.arms) {
    reached += arm.weight;
    if (point < reached) return arm;
  }
  return experiment.arms.at(-1)!;
}

/** Every running experiment that the unit is in, ordered by layer, with the parameters of its arm. */
export function assign(
  unitId: string,
  experiments: readonly Experiment[],
): { assignment: Assignment; parameters: PlanPatch }[] {
  return experiments
    .filter(({ status }) => status === 'running')
    .filter(({ layer, buckets: [from, to] }) => {
      const at = bucket(`layer:${layer}`, unitId);
      return from <= at && at < to;
    })
    .sort((a, b) => (a.layer < b.layer ? -1 : a.layer > b.layer ? 1 : 0))
    .map((experiment) => {
      const arm = armOf(experiment, unitId);
      return {
        assignment: { experiment: experiment.key, layer: experiment.layer, arm: arm.key },
        parameters: arm.parameters,
      };
    });
}

/** The first pair of running experiments that overlap in a layer, or `undefined`; such a configuration is refused. */
export function overlap(experiments: readonly Experiment[]): [Experiment, Experiment] | undefined {
  const running = experiments.filter(({ status }) => status === 'running');
  for (const [i, a] of running.entries()) {
    for (const b of running.slice(i + 1)) {
      if (a.layer === b.layer && a.key !== b.key && a.buckets[0] < b.buckets[1] && b.buckets[0] < a.buckets[1])
        return [a, b];
    }
  }
  return undefined;
}
