/**
 * Alarms of running experiments into the outbox (table `alerts`): trust checks that forbid to read the effects, and guardrails
 * that are broken. An alarm is raised once a UTC day as long as it lasts, whoever looks and however often.
 */
import { sql } from 'drizzle-orm';
import type { Alert } from '../../shared/contract/alerts.ts';
import type { ExperimentReport } from '../../shared/contract/experiments.ts';
import { type Database, rows } from '../db/connect.ts';
import { insertRecords } from '../db/recordset.ts';
import { alerts } from '../db/schema.ts';
import { buildReport } from '../experiments/report.ts';
import { listExperiments } from '../serving-config/experiment-store.ts';

/** The alerts that a report asks for. Pure. */
export function alertsOf({ experiment, checks }: ExperimentReport, nowMs: number): Alert[] {
  const { key, version = 1 } = experiment;
  const raisedAt = new Date(nowMs).toISOString();
  return checks
    .filter(({ severity }) => severity === 'alarm')
    .map(({ check, title, expected, received, action }) => ({
      id: `${key}@${version}:${check}:${raisedAt.slice(0, 10)}`,
      raisedAt,
      experiment: key,
      version,
      ...{ check, title, expected, received, action },
      report: `/v1/experiments/${key}/report`,
    }));
}

/** Looks at every running experiment and puts the alerts that are new into the outbox; gives them. */
export async function raiseAlerts(db: Database, nowMs: number): Promise<Alert[]> {
  const raised: Alert[] = [];
  for (const { key, status } of await listExperiments(db)) {
    if (status !== 'running') continue;
    const found = alertsOf(await buildReport(db, key), nowMs);
    if (found.length === 0) continue;
    const at = new Date(nowMs);
    const fresh = await rows<{ key: string }>(
      db,
      sql`${insertRecords(
        alerts,
        found.map((alert) => ({ key: alert.id, body: alert, raisedAt: at, attempts: 0, nextAttemptAt: at })),
      )} on conflict do nothing returning key`,
    );
    const ids = new Set(fresh.map((row) => row.key));
    raised.push(...found.filter(({ id }) => ids.has(id)));
  }
  return raised;
}
