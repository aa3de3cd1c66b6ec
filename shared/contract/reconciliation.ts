/** Issued against stored: whether every event that the edge gave an id has become a row. */
import * as z from 'zod';

/** Most ids that one question may name. */
export const MAX_RECONCILED_IDS = 5_000;

/** `POST /v1/events:reconcile` at the backend: which of these ids are rows? */
export const ReconcileRequest = z.lazy(() =>
  z
    .strictObject({ ids: z.array(z.string().min(1).max(80)).min(1).max(MAX_RECONCILED_IDS) })
    .meta({ id: 'ReconcileRequest' }),
);

/** Those that are not, in the order asked. */
export const ReconcileResult = z.lazy(() => z.object({ missing: z.array(z.string()) }).meta({ id: 'ReconcileResult' }));

/** An arm that an issued impression belongs to, which nobody stored. */
export const MissingExposure = z.lazy(() =>
  z.strictObject({
    impressionId: z.string().min(8).max(64),
    experiment: z.string().min(1).max(64),
    arm: z.string().min(1).max(64),
    /** When it was issued, UTC milliseconds, to the minute. */
    atMs: z.int().positive(),
  }),
);
export type MissingExposure = z.infer<typeof MissingExposure>;

/** `POST /v1/events:missing` at the backend: exposures looked for twice in vain. */
export const MissingReport = z.lazy(() =>
  z.strictObject({ exposures: z.array(MissingExposure).min(1).max(MAX_RECONCILED_IDS) }).meta({ id: 'MissingReport' }),
);
export const MissingNoted = z.lazy(() => z.object({ noted: z.int() }).meta({ id: 'MissingNoted' }));

/** `POST /v1/reconcile` at the edge: its ledger of the last day against the backend's rows. */
export const Reconciliation = z.lazy(() =>
  z
    .object({
      /** By the minute that the ids were made in; `issued = stored + missing`. */
      minutes: z.array(z.object({ minute: z.iso.datetime(), issued: z.int(), stored: z.int(), missing: z.int() })),
      /** Ids without a row, older than the time that delivery takes; oldest first. */
      missing: z.array(
        z.object({
          id: z.string(),
          minute: z.iso.datetime(),
          /** How often they were looked for; 1 may still be on its way after an outage. */
          checks: z.int(),
        }),
      ),
      /** Issued too recently to be asked for. */
      recent: z.int(),
      /** Events that wait in the outbox for the backend. */
      waiting: z.int(),
    })
    .meta({ id: 'Reconciliation' }),
);
export type Reconciliation = z.infer<typeof Reconciliation>;
