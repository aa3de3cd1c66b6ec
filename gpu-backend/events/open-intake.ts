/**
 * Assembles the intake of events: group commit into the database, the spool for when it is away, and the metrics and
 * log of both.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Availability, watchAvailability } from '../db/availability.ts';
import type { Connection } from '../db/connect.ts';
import { reasonOf } from '../db/sql-error.ts';
import type { Metrics } from '../http/metrics.ts';
import { startPeriodic } from '../periodic.ts';
import { groupCommit } from './group-commit.ts';
import { createIntake, type Intake } from './intake.ts';
import { openSpool } from './spool.ts';

export interface OpenIntakeOptions {
  connection: Pick<Connection, 'db' | 'copying'>;
  /** The backend's folder; the spool is in it. */
  dataDir: string;
  spoolBytes: number;
  metrics: Metrics;
  log: Logger;
  /** Called after a commit that changed the kill list, and when the database is back. */
  refresh: () => Promise<void>;
  /** From one look at what a replay may have left to the next. */
  replayMs?: number;
}

export interface OpenIntake {
  availability: Availability;
  intake: Intake;
  /** Why the service is degraded; `undefined` when the database is there. */
  state(): { database: string; spooledBytes: number } | undefined;
  close(): Promise<void>;
}

/** From one question to a database that is away to the next. */
const ASK_MS = 1_000;
/** A replay may end with a database that is there and refuses for another reason: that is tried again, too. */
const REPLAY_MS = 10_000;

export function openIntake(options: OpenIntakeOptions): OpenIntake {
  const { connection, dataDir, spoolBytes, metrics, log, refresh, replayMs = REPLAY_MS } = options;
  const spool = openSpool({
    dir: join(dataDir, 'spool'),
    maxBytes: spoolBytes,
    onDamage(file) {
      metrics.countSpoolDamage();
      log.error({ file }, 'spooled events are damaged: those that are whole are stored, the file is kept');
    },
    onFailure(err) {
      metrics.countSpoolFailure();
      log.error({ err }, 'events cannot be put on disk: they are refused');
    },
  });
  const availability = watchAvailability({
    db: connection.db,
    everyMs: ASK_MS,
    onAway(reason) {
      metrics.countDatabaseLoss();
      log.error({ reason }, 'the database is away: queries go on, events go to disk');
    },
    onBack() {
      log.info({ spooledBytes: spool.bytes() }, 'the database is back');
      refresh().catch((err) => log.error({ err }, 'the configuration after an absence of the database'));
      void intake.replay();
    },
  });
  const intake = createIntake({
    spool,
    availability,
    store: groupCommit({
      ...connection,
      onKillListChange: refresh,
      onRungs: (byRung) => metrics.countImpressions(byRung),
      onRefusedGroup: () => metrics.countRefusedGroup(),
      onRefusedBatch(err) {
        metrics.countRefusedBatch();
        log.warn({ err }, 'the database refused a batch; storing it in parts');
      },
    }),
    onResult: (result) => metrics.observeEvents(result),
    onReplay(replayed) {
      if ('requests' in replayed) log.info(replayed, 'spooled events are stored');
      else log.warn({ reason: reasonOf(replayed.error) }, 'spooled events wait for the database');
    },
  });
  const endReplays = startPeriodic({
    everyMs: replayMs,
    async work() {
      if (availability.away() === undefined) await intake.replay();
    },
    onError: (err) => log.error({ err }, 'spooled events: will be tried again'),
  });
  metrics.gauge({
    name: 'harness_database_up',
    help: '1 while the database answers, 0 while it is away.',
    read: () => (availability.away() === undefined ? 1 : 0),
  });
  metrics.gauge({
    name: 'harness_spool_bytes',
    help: 'Bytes of events that wait on disk for the database.',
    read: spool.bytes,
  });
  return {
    availability,
    intake,
    state() {
      const reason = availability.away();
      return reason === undefined ? undefined : { database: `away: ${reason}`, spooledBytes: spool.bytes() };
    },
    async close() {
      availability.close();
      void endReplays(); // one that is under way goes on at the next start
      await spool.close();
    },
  };
}
