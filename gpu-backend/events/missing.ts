/** Exposures that the edge issued and that are in no table after delivery has had its time, as its ledger tells (edge/outbox). */
import { sql } from 'drizzle-orm';
import type { MissingExposure } from '../../shared/contract/reconciliation.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { insertRecords } from '../db/recordset.ts';
import { missingExposures } from '../db/schema.ts';
import { requireStorable } from '../db/storable.ts';
import { LATEST_MS } from './ingest.ts';

/**
 * Writes them down, each once however often it is reported. Those whose impression comes after all no longer count.
 * Throws `bad_request` for what cannot be stored.
 */
export async function noteMissing(db: Database, exposures: readonly MissingExposure[]): Promise<void> {
  requireStorable(exposures, 'exposures');
  const late = exposures.find(({ atMs }) => atMs > LATEST_MS);
  if (late !== undefined)
    throw new HarnessError('bad_request', `exposures: expected instants up to ${LATEST_MS} ms, got ${late.atMs}.`);
  const records = exposures.map(({ impressionId, experiment, arm, atMs }) => ({
    impressionId,
    experiment,
    arm,
    at: new Date(atMs),
  }));
  await db.execute(sql`${insertRecords(missingExposures, records)} on conflict do nothing`);
}
