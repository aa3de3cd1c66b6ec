/** `POST /v1/events`, and which of the events issued are stored: `POST /v1/events:reconcile`. */
import type { Logger } from 'pino';
import { EventBatch } from '../../shared/contract/events.ts';
import { MissingReport, ReconcileRequest } from '../../shared/contract/reconciliation.ts';
import type { Database } from '../db/connect.ts';
import type { CopyTransaction } from '../db/copy.ts';
import { groupCommit } from '../events/group-commit.ts';
import { noteMissing } from '../events/missing.ts';
import { missingIds } from '../events/reconcile.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import type { Metrics } from './metrics.ts';

/** 1,000 impressions with ten slots each. */
const MAX_BATCH_BYTES = 8 << 20;

export interface EventRoutesOptions {
  db: Database;
  copying: CopyTransaction | undefined;
  metrics: Metrics;
  log: Logger;
  /** Called when the clicks of a batch used up a budget, before the batch is acknowledged. */
  onKillListChange: () => Promise<void>;
}

export function eventRoutes({ db, copying, metrics, log, onKillListChange }: EventRoutesOptions): Endpoint[] {
  const store = groupCommit({
    db,
    copying,
    onKillListChange,
    onRungs: (byRung) => metrics.countImpressions(byRung),
    onRefusedGroup: () => metrics.countRefusedGroup(),
    onRefusedBatch(err) {
      metrics.countRefusedBatch();
      log.warn({ err }, 'the database refused a batch; storing it event by event');
    },
  });
  return [
    endpoint({
      on: 'post /v1/events',
      body: EventBatch,
      maxBytes: MAX_BATCH_BYTES,
      async handle({ body, log }) {
        const result = await store(body.events);
        metrics.observeEvents(result);
        if (result.rejected.length > 0)
          log.warn({ rejected: result.rejected.length, first: result.rejected[0] }, 'events rejected');
        return result;
      },
    }),
    endpoint({
      on: 'post /v1/events:reconcile',
      body: ReconcileRequest,
      handle: async ({ body }) => ({ missing: await missingIds(db, body.ids) }),
    }),
    endpoint({
      on: 'post /v1/events:missing',
      body: MissingReport,
      async handle({ body }) {
        await noteMissing(db, body.exposures);
        return { noted: body.exposures.length };
      },
    }),
  ];
}
