/**
 * What an experiment is, and the hash that deals units to it (overlapping experiments, Tang et al., KDD 2010).
 * A unit falls into one of 10,000 buckets of each layer; an experiment owns a range of its layer's buckets, so experiments
 * of one layer exclude each other and layers are independent. Inside an experiment a second, independent hash picks the
 * arm by weight, so widening the range (ramp-up) moves nobody who is already in. Who takes part: assignment.ts.
 */
import * as z from 'zod';
import { PlanPatch } from './plan.ts';

export const BUCKETS = 10_000;
const Key = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'expected lower-case letters, digits and hyphens, at most 64');
const Range = z
  .tuple([z.int().min(0).max(BUCKETS), z.int().min(0).max(BUCKETS)])
  .refine(([from, to]) => from < to, { message: 'expected [from, to) with from < to' });

export const Device = z.enum(['desktop', 'mobile', 'tablet']);
export type Device = z.infer<typeof Device>;

/** What the arm is drawn by: the visitor, the query in its market, or the query in its market on a UTC day. */
export const Diversion = z.enum(['user', 'query', 'query-day']);
export type Diversion = z.infer<typeof Diversion>;

/** Which requests an experiment looks at; an absent field is no condition. */
const Targeting = z.lazy(() =>
  z.strictObject({
    markets: z.array(z.string().min(1).max(35)).min(1).optional(),
    /** BCP 47 tags; `en` takes in `en-GB` (RFC 4647, basic filtering). */
    locales: z.array(z.string().min(1).max(35)).min(1).optional(),
    devices: z.array(Device).min(1).optional(),
    /** Share of the units in the bucket range that are let in; raising it moves nobody who is in. */
    share: z.number().min(0).max(1).optional(),
  }),
);

/** How long everybody stays in an arm, and after what part of that the arm before has worn off. */
const Windows = z.lazy(() =>
  z
    .strictObject({
      windowMinutes: z.int().min(1).max(10_080),
      washoutMinutes: z.int().min(0),
    })
    .refine(({ windowMinutes, washoutMinutes }) => washoutMinutes < windowMinutes, {
      path: ['washoutMinutes'],
      message: 'expected less than windowMinutes',
    }),
);

export const Arm = z.strictObject({
  key: Key,
  /** Bounded, so that no sum of weights is infinite. */
  weight: z.number().positive().max(1e9),
  parameters: PlanPatch,
  /** Makes the arm a holdout: its units take part in no other experiment, or in none of these layers. */
  holdout: z.union([z.literal('all'), z.array(Key).min(1)]).optional(),
});
export type Arm = z.infer<typeof Arm>;

const Fields = z.strictObject({
  key: Key,
  layer: Key,
  description: z.string().max(500).default(''),
  /** What may follow what: experiment-lifecycle.ts. */
  status: z.enum(['draft', 'running', 'stopped', 'archived']),
  /**
   * `split` (unless given) shows a unit one arm; `interleaving` merges the candidates of its two arms into one page;
   * `switchback` shows everybody in a market the same of its two arms, by windows of time (switchback.ts).
   */
  kind: z.enum(['split', 'interleaving', 'switchback']).optional(),
  /** Of a switchback. What is asked during the washout, at the head of a window, is no exposure. */
  switchback: Windows.optional(),
  /**
   * Traffic set apart by visitor: the experiment sees only units of this range, and experiments without a domain see
   * only units of none. Whoever names a domain gives it the same range; a layer lies in one domain.
   */
  domain: z.strictObject({ key: Key, buckets: Range }).optional(),
  /** `user` unless given; the same for all experiments of a layer. */
  diversion: Diversion.optional(),
  targeting: Targeting.optional(),
  /** Half-open range of the layer's buckets. */
  buckets: Range,
  /** The arm that the others are compared with. */
  control: Key,
  arms: z.array(Arm).min(2).max(20),
  /** IANA zone of the experiment's days, checked in its definition; UTC unless given. */
  timeZone: z.string().max(64).optional(),
  /**
   * Share of the units for which the edge also works out what the other arms would have shown, and logs whether it differs
   * (edge/counterfactual.ts); absent, none. A split's only, whose arms hold nobody out.
   */
  counterfactualShare: z.number().gt(0).max(1).optional(),
  /** Visitors keep the arm that they were first shown, in a signed cookie, when weights or arms change. */
  sticky: z.boolean().optional(),
  /** 1 unless given. Raising it deals the arms anew to everybody without a sticky record. */
  version: z.int().min(1).optional(),
  /** Block: visitors whose sticky record is of a lower version take no part any more. */
  minVersion: z.int().min(1).optional(),
});
type Fields = z.infer<typeof Fields>;

function takesAll({ domain, diversion, targeting = {}, buckets: [from, to] }: Fields): boolean {
  const { locales, devices, share = 1 } = targeting;
  const narrowed = [domain, diversion, locales, devices].some((each) => each !== undefined);
  return !narrowed && share === 1 && from === 0 && to === BUCKETS;
}

const isSplit = ({ kind }: Fields) => (kind ?? 'split') === 'split';
const holdsNobodyOut = ({ arms }: Fields) => arms.every((arm) => !arm.holdout);
const isPair = (fields: Fields) => fields.arms.length === 2 && holdsNobodyOut(fields);

/** What fields have to do with each other: at which it is said, when it is right, and what else was expected. */
const RULES: readonly [field: keyof Fields, isRight: (fields: Fields) => boolean, message: string][] = [
  ['arms', ({ arms }) => new Set(arms.map(({ key }) => key)).size === arms.length, 'expected distinct arm keys'],
  ['control', ({ arms, control }) => arms.some(({ key }) => key === control), 'expected the key of one of the arms'],
  [
    'arms',
    (fields) => fields.kind !== 'interleaving' || isPair(fields),
    'expected two arms without holdout for an interleaving',
  ],
  [
    'counterfactualShare',
    (fields) => fields.counterfactualShare === undefined || (isSplit(fields) && holdsNobodyOut(fields)),
    'expected a split without holdout: only there an arm is a page of its own',
  ],
  [
    'switchback',
    ({ kind, switchback }) => (kind === 'switchback') === (switchback !== undefined),
    'expected windows for a switchback, and for nothing else',
  ],
  [
    'arms',
    (fields) => fields.kind !== 'switchback' || isPair(fields),
    'expected two arms without holdout for a switchback',
  ],
  [
    'kind',
    (fields) => fields.kind !== 'switchback' || takesAll(fields),
    'expected a switchback of whole markets: no domain, diversion, locales, devices or share, all buckets',
  ],
  [
    'sticky',
    (fields) => !fields.sticky || (isSplit(fields) && (fields.diversion ?? 'user') === 'user'),
    'expected a split by user: only visitors carry a record',
  ],
  [
    'minVersion',
    ({ sticky = false, version = 1, minVersion = 1 }) => minVersion === 1 || (sticky && minVersion <= version),
    'expected a sticky experiment, and at most its version',
  ],
];

export const Experiment = Fields.superRefine((fields, context) => {
  for (const [field, isRight, message] of RULES)
    if (!isRight(fields)) context.addIssue({ code: 'custom', path: [field], message });
}).meta({ id: 'Experiment' });
export type Experiment = z.infer<typeof Experiment>;

/** The arm key under which an interleaved page is logged: it belongs to both arms, its slots to one each. */
export const INTERLEAVED = 'interleaved';

export const Assignment = z
  .object({
    experiment: z.string(),
    layer: z.string(),
    arm: z.string(),
    /** The unit that the arm was drawn by, where that is not the visitor. */
    unitId: z.string().min(1).max(64).optional(),
    /** Whether another arm would have shown other ads, where the experiment asks for that. */
    triggered: z.boolean().optional(),
    /** Of a switchback: whether it was the head of a window, which counts for neither arm. */
    washout: z.boolean().optional(),
  })
  .meta({ id: 'Assignment' });
export type Assignment = z.infer<typeof Assignment>;

const encoder = new TextEncoder();

/**
 * 32-bit hash of UTF-8 text: FNV-1a (RFC 9923) with the salt as prefix, then the finaliser of MurmurHash3. FNV-1a alone
 * leaves assignments of similarly named experiments correlated; the finaliser removes that. Easy to repeat in SQL.
 */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  let i = 0;
  // ASCII, which ids and keys are, is its own UTF-8, and the encoder would be most of the work.
  for (; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) break;
    h = Math.imul(h ^ unit, 0x01000193);
  }
  if (i < text.length) for (const byte of encoder.encode(text.slice(i))) h = Math.imul(h ^ byte, 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Bucket 0 .. 9,999 of a unit under a salt. */
export function bucket(salt: string, unitId: string): number {
  return Math.floor((hash32(`${salt}:${unitId}`) / 0x1_0000_0000) * BUCKETS);
}

/** Whether the unit's counterfactuals are logged. Raising the share only adds units. */
export function isCompared({ key, counterfactualShare = 0 }: Experiment, unitId: string): boolean {
  return counterfactualShare > 0 && bucket(`counterfactual:${key}`, unitId) < counterfactualShare * BUCKETS;
}

/** The arm of a unit inside an experiment, by weight. */
export function armOf({ key, arms, version = 1 }: Experiment, unitId: string): Arm {
  const total = arms.reduce((sum, { weight }) => sum + weight, 0);
  const salt = version === 1 ? key : `${key}.${version}`;
  const point = (hash32(`arm:${salt}:${unitId}`) / 0x1_0000_0000) * total;
  let reached = 0;
  for (const arm of arms) {
    reached += arm.weight;
    if (point < reached) return arm;
  }
  return arms.at(-1)!;
}
