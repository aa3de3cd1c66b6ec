/** What goes on beside the requests: rollups, alarms, removed ads, the recall canary, generations that are due, following other backends. Failures are counted and tried again. */
import type { Logger } from 'pino';
import type { Alert } from '../shared/contract/alerts.ts';
import { deliverAlerts } from './alerts/deliver.ts';
import { raiseAlerts } from './alerts/raise.ts';
import { purgeRemoved } from './catalogue/purge.ts';
import { type Closer, inTime } from './closers.ts';
import type { BackendConfig } from './config.ts';
import type { Connection } from './db/connect.ts';
import { inTurn } from './db/exclusive.ts';
import { advance } from './experiments/rollup-advance.ts';
import type { Rebuilder } from './generations/rebuild.ts';
import type { Metrics } from './http/metrics.ts';
import { startPeriodic } from './periodic.ts';
import type { RecallCanary } from './retrieval/recall-canary.ts';
import type { Follower } from './serving-config/follower.ts';

/** How often rollups are brought up, and experiments are looked at for alarms; reports bring rollups up by themselves. */
const [ROLLUP_MS, ALERTS_MS] = [5_000, 60_000];
/** Postgres' advisory lock of looks for alarms; any number that nothing else takes. */
const ALERTS_LOCK = 7_118_224;
/** How often the index is compared with exact search on what was asked lately. */
const CANARY_MS = 60_000;
/** How often other backends on the same database are followed; with the edge's half second, a pause holds everywhere within one. */
const FOLLOW_MS = 200;
/** How often rows of ads that were removed long ago are looked for. */
const PURGE_MS = 600_000;
/** How often it is asked whether a generation is due. */
const REBUILD_MS = 1_000;

/** Starts all of it, and gives what ends each, in bounded time. */
export function startBackground({
  connection,
  metrics,
  peers,
  canary,
  rebuild,
  config,
  log,
}: {
  connection: Pick<Connection, 'batch' | 'kind'>;
  metrics: Metrics;
  peers: Follower | undefined;
  canary: RecallCanary;
  rebuild: Rebuilder['look'];
  config: Readonly<BackendConfig>;
  log: Logger;
}): Closer[] {
  const { batch: db } = connection;
  const failures = { rollup: 0, alerts: 0, alert_delivery: 0, follow: 0, canary: 0, rebuild: 0, purge: 0 };
  for (const [name, help] of [
    ['rollup', 'Rollups that failed.'],
    ['alerts', 'Looks for alarms that failed.'],
    ['follow', 'Looks at what other backends did that failed.'],
    ['canary', 'Comparisons of the index with exact search that failed.'],
    ['rebuild', 'Looks at whether a generation is due that failed.'],
    ['purge', 'Looks for ads removed long ago that failed.'],
    ['alert_delivery', 'Alerts that the webhook did not take; each is tried again.'],
  ] as const)
    metrics.counter({ name: `harness_${name}_failures_total`, help, read: () => failures[name] });
  const failed = (name: 'rollup' | 'alerts' | 'follow' | 'canary' | 'rebuild' | 'purge') => (err: unknown) => {
    failures[name]++;
    log.error({ err }, `${name}: will be tried again`);
  };
  const running: Closer[] = [];
  const start = (name: Parameters<typeof failed>[0], everyMs: number, work: (signal: AbortSignal) => Promise<void>) =>
    running.push(inTime(name, startPeriodic({ everyMs, work, onError: failed(name) })));
  start('rollup', ROLLUP_MS, () => advance(db));
  start('canary', CANARY_MS, canary.run);
  start('rebuild', REBUILD_MS, rebuild);
  if (peers !== undefined) for (const look of [peers.news, peers.rest]) start('follow', FOLLOW_MS, look);
  const { alertWebhook: url, keys, removedAdDays: days } = config;
  if (days > 0) start('purge', PURGE_MS, async () => void (await purgeRemoved(db, { days })));
  if (url === undefined) return running;
  const onFailure = (alert: Alert, reason: string) => {
    failures.alert_delivery++;
    log.warn({ alert: alert.id, reason }, 'the webhook did not take an alert');
  };
  // A little less than the pause between two looks of one backend, which is to get its turn when there are no others.
  const inTurnOfAll = inTurn(connection, { lock: ALERTS_LOCK, counter: 'alerts', everyMs: 0.8 * ALERTS_MS });
  start('alerts', ALERTS_MS, async (signal) => {
    const raised = await raiseAlerts(db, {
      nowMs: Date.now(),
      inTurn: inTurnOfAll,
      onFailure: (experiment, cause) => failed('alerts')(new Error(`of ${experiment}`, { cause })),
    });
    for (const { id } of raised) log.warn({ alert: id }, 'alert');
    await deliverAlerts(db, { url, keys, now: Date.now, signal, onFailure });
  });
  return running;
}
