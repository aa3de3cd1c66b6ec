/** The lifecycle of experiments over the API: the list, a dry run, the steps, and the record of who changed what. */
import * as z from 'zod';
import { ExperimentDefinition } from '../experiment-definition.ts';
import { LIFECYCLE_ACTIONS } from '../experiment-lifecycle.ts';
import { nextPage, pageBehind } from './paging.ts';

const { key: ExperimentKey } = ExperimentDefinition.shape;
export const ExperimentPage = pageBehind(ExperimentKey);
export type ExperimentPage = z.infer<typeof ExperimentPage>;
/** By key. */
export const ExperimentList = z
  .object({ experiments: z.array(ExperimentDefinition), ...nextPage(ExperimentKey) })
  .meta({ id: 'ExperimentList' });
export type ExperimentList = z.infer<typeof ExperimentList>;

/** Who changes something, and why; `by` is the id of the signing key unless given. */
const Attribution = { by: z.string().min(1).max(100).optional(), why: z.string().min(1).max(500) };

/** `PUT /v1/experiments/:key?by=&why=` */
export const Attributed = z.object({ by: Attribution.by, why: Attribution.why.optional() });

/** `POST /v1/experiments/:key`: one step of the life of an experiment. */
export const ExperimentStep = z
  .discriminatedUnion('action', [
    z.strictObject({ action: z.literal('start'), ...Attribution }),
    z.strictObject({
      action: z.literal('ramp'),
      /** The new range of buckets; it holds the old one. */
      buckets: ExperimentDefinition.shape.buckets.optional(),
      /** The new share of the units in it, no less than the old one. */
      share: z.number().min(0).max(1).optional(),
      ...Attribution,
    }),
    z.strictObject({ action: z.literal('stop'), ...Attribution }),
    z.strictObject({
      action: z.literal('ship'),
      /** Its parameters become part of everybody's plan; the experiment stops where it runs. */
      arm: ExperimentKey,
      ...Attribution,
    }),
    z.strictObject({ action: z.literal('withdraw'), ...Attribution }),
    z.strictObject({ action: z.literal('archive'), ...Attribution }),
  ])
  .meta({ id: 'ExperimentStep' });
export type ExperimentStep = z.infer<typeof ExperimentStep>;

const Difference = z.object({
  /** Field, with dots; arms by key. */
  path: z.string(),
  /** Absent where there is or was nothing. */
  from: z.unknown().optional(),
  to: z.unknown().optional(),
});

/** `POST /v1/experiments:validate`: what putting the definition would do. */
export const ExperimentPlan = z
  .object({
    action: z.enum(LIFECYCLE_ACTIONS),
    differences: z.array(Difference),
    /** Why it would be refused; `null` where it would not. */
    problem: z.string().nullable(),
  })
  .meta({ id: 'ExperimentPlan' });
export type ExperimentPlan = z.infer<typeof ExperimentPlan>;

export const AuditPage = pageBehind(z.coerce.number().int().nonnegative());
export type AuditPage = z.infer<typeof AuditPage>;
/** `GET /v1/experiments/:key/audit`: every change, the oldest first. Entries are never changed or removed. */
export const ExperimentAudit = z
  .object({
    entries: z.array(
      z.object({
        /** Grows with time, over all experiments. */
        id: z.int(),
        at: z.string(),
        action: z.enum(LIFECYCLE_ACTIONS),
        by: z.string(),
        /** Id of the key that signed the call; `null` for what the service did by itself. */
        keyId: z.string().nullable(),
        why: z.string(),
        differences: z.array(Difference),
      }),
    ),
    ...nextPage(z.int()),
  })
  .meta({ id: 'ExperimentAudit' });
export type ExperimentAudit = z.infer<typeof ExperimentAudit>;
