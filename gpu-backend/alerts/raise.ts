/**
 * Alarms of running experiments into the outbox (table `alerts`): trust checks that forbid reading the effects, and
 * guardrails that are broken. An alarm is raised once a UTC day as long as it lasts, whoever looks and however often.
 */
import { sql } from 'drizzle-orm';
import type { Alert } from '../../shared/contract/alerts.ts';
import type { DetailedReport, Guardrail } from '../../shared/contract/report-detail.ts';
import { type Database, rows } from '../db/connect.ts';
import { ELSEWHERE, type Exclusive } from '../db/exclusive.ts';
import { insertRecords } from '../db/recordset.ts';
import { alerts } from '../db/schema.ts';
import { judge } from '../experiments/detailed-report.ts';
import { listExperiments } from '../serving-config/experiment-store.ts';

/** The alerts that a report asks for. Pure. Where the numbers are not to be trusted, no guardrail is said to be broken. */
export function alertsOf(
  { experiment, checks, verdicts }: Pick<DetailedReport, 'experiment' | 'checks' | 'verdicts'>,
  nowMs: number,
): Alert[] {
  const { key, version = 1 } = experiment;
  const raisedAt = new Date(nowMs).toISOString();
  const alarms = checks.filter(({ severity }) => severity === 'alarm');
  const broken = verdicts
    .filter(({ rule }) => rule === 'guardrail_harmed')
    .flatMap(({ arm, guardrails }) =>
      guardrails.filter(({ state }) => state === 'harmed').map((guardrail) => brokenGuardrail(arm, guardrail)),
    );
  return [...alarms, ...broken].map(({ check, title, expected, received, action }) => ({
    id: `${key}@${version}:${check}:${raisedAt.slice(0, 10)}`,
    raisedAt,
    experiment: key,
    version,
    check,
    title,
    expected,
    received,
    action,
    report: `/v1/experiments/${key}/report`,
  }));
}

function brokenGuardrail(arm: string, { metric, title, margin, effect }: Guardrail) {
  const percent = (share: number) => `${Number((share * 100).toFixed(2))} %`;
  return {
    check: `guardrail:${metric}:${arm}`,
    title: `Guardrail: ${title}, ${arm}`,
    expected: `a loss of at most ${percent(margin)}`,
    received: `a difference of ${effect!.relativeInterval!.map(percent).join(' to ')}`,
    action: 'Stop the experiment, or find out what the arm does to these people.',
  };
}

export interface RaiseOptions {
  nowMs: number;
  /** Only one of all backends looks, because a look costs one report per experiment. */
  inTurn: Exclusive;
  /** Called for an experiment that could not be looked at; the others still are. */
  onFailure: (experiment: string, error: unknown) => void;
}

/** Looks at every running experiment, if it is this backend's turn, and puts the alerts that are new into the outbox; gives them. */
export async function raiseAlerts(db: Database, options: RaiseOptions): Promise<Alert[]> {
  const raised = await options.inTurn(() => lookAtAll(db, options));
  return raised === ELSEWHERE ? [] : raised;
}

async function lookAtAll(db: Database, { nowMs, onFailure }: RaiseOptions): Promise<Alert[]> {
  const raised: Alert[] = [];
  for (const { key, status } of await listExperiments(db)) {
    if (status !== 'running') continue;
    try {
      raised.push(...(await raiseFor(db, key, nowMs)));
    } catch (error) {
      onFailure(key, error);
    }
  }
  return raised;
}

async function raiseFor(db: Database, key: string, nowMs: number): Promise<Alert[]> {
  const { report, verdicts } = await judge(db, key);
  const found = alertsOf({ ...report, verdicts }, nowMs);
  if (found.length === 0) return [];
  const at = new Date(nowMs);
  const fresh = await rows<{ key: string }>(
    db,
    sql`${insertRecords(
      alerts,
      found.map((alert) => ({ key: alert.id, body: alert, raisedAt: at, attempts: 0, nextAttemptAt: at })),
    )} on conflict do nothing returning key`,
  );
  const ids = new Set(fresh.map((row) => row.key));
  return found.filter(({ id }) => ids.has(id));
}
