/** `POST /v1/events`, which of the events issued are stored: `POST /v1/events:reconcile`, and what people say of ads: `POST /v1/judgements`. */
import { EventBatch } from '../../shared/contract/events.ts';
import { JudgementBatch } from '../../shared/contract/judgements.ts';
import { MissingReport, ReconcileRequest } from '../../shared/contract/reconciliation.ts';
import type { Database } from '../db/connect.ts';
import type { Intake } from '../events/intake.ts';
import { storeJudgements } from '../events/judgements.ts';
import { noteMissing } from '../events/missing.ts';
import { missingIds } from '../events/reconcile.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

/** 1,000 impressions with ten slots each. */
const MAX_BATCH_BYTES = 8 << 20;

export interface EventRoutesOptions {
  db: Database;
  intake: Intake;
}

export function eventRoutes({ db, intake }: EventRoutesOptions): Endpoint[] {
  return [
    endpoint({
      on: 'post /v1/events',
      body: EventBatch,
      maxBytes: MAX_BATCH_BYTES,
      async handle({ body, log }) {
        const result = await intake.take(body.events);
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
    endpoint({
      on: 'post /v1/judgements',
      body: JudgementBatch,
      maxBytes: MAX_BATCH_BYTES,
      handle: ({ body }) => storeJudgements(db, body.judgements),
    }),
  ];
}
