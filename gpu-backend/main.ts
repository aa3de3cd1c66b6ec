/**
 * The backend as a program and as a function. This file alone knows which adapters there are: it opens them in order,
 * wires them, and closes them in reverse.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import type { Alert } from '../shared/contract/alerts.ts';
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { HarnessError } from '../shared/problem.ts';
import { deliverAlerts } from './alerts/deliver.ts';
import { raiseAlerts } from './alerts/raise.ts';
import { createCatalogue } from './catalogue/catalogue.ts';
import { followInto } from './catalogue/follow.ts';
import { forgetPastDays, untilMidnight } from './catalogue/spend.ts';
import { exitWith, parseCommandLine } from './command-line.ts';
import { type BackendConfig, parseConfig } from './config.ts';
import { connect, type Database } from './db/connect.ts';
import { lockDataFolder } from './db/data-folder.ts';
import { migrate } from './db/migrate.ts';
import { loadBundle } from './encoder/bundle.ts';
import { createEncoder } from './encoder/pool.ts';
import { advance } from './experiments/rollup-advance.ts';
import { openIntake } from './events/open-intake.ts';
import { Live } from './generations/live.ts';
import { openGenerationStore } from './generations/store.ts';
import { createVectorLadder } from './generations/vectors.ts';
import { createApiKeys } from './http/api-keys.ts';
import { createApp } from './http/app.ts';
import { createAuthenticator } from './http/auth.ts';
import { watchState } from './http/gauges.ts';
import { createMetrics, type Metrics } from './http/metrics.ts';
import { catalogueRoutes } from './http/routes-catalogue.ts';
import { embeddingsRoutes } from './http/routes-embeddings.ts';
import { eventRoutes } from './http/routes-events.ts';
import { experimentRoutes } from './http/routes-experiments.ts';
import { generationRoutes } from './http/routes-generations.ts';
import { operationsRoutes } from './http/routes-operations.ts';
import { retrievalRoutes } from './http/routes-retrieval.ts';
import { listen } from './http/server.ts';
import { withDatabase } from './http/with-database.ts';
import { startPeriodic } from './periodic.ts';
import { createHeadAds } from './retrieval/head-ads.ts';
import { createRetrieval } from './retrieval/retrieve.ts';
import { createPublication } from './serving-config/publication.ts';
import { openServingConfig } from './serving-config/serving-config.ts';

export interface Backend {
  url: string;
  /** Drains and lets go of everything, in about 3 s at most. */
  stop(): Promise<void>;
}

/** How long running requests may take once the service is asked to stop. */
const DRAIN_MS = 1_500;
/** How long after a failure the budgets of a new day are tried again. */
const NEW_DAY_RETRY_MS = 10_000;
/** How often rollups are brought up, and experiments are looked at for alarms; reports bring rollups up by themselves. */
const [ROLLUP_MS, ALERTS_MS] = [5_000, 60_000];

/**
 * Starts the service; resolves when it answers, which before the first generation is `not_ready` for queries. Throws a
 * {@link HarnessError} in one line for what the operator can mend, and leaves nothing open then.
 */
export async function startBackend(config: Readonly<BackendConfig>): Promise<Backend> {
  const began = performance.now();
  const log = pino({ level: config.logLevel, base: null });
  const closers: Closer[] = [];
  let closed: Promise<void> | undefined;
  const stop = () => {
    closed ??= closeAll(closers, log);
    return closed;
  };
  try {
    const adapters = await openAdapters({ config, log, closers });
    const { app, stopping, db, metrics, events } = await wire({ ...adapters, config, log });
    const { server } = adapters;
    closers.push(() => events.close());
    server.serve(app);
    for (const end of startBackground({ db, metrics, config, log }))
      closers.push(() => Promise.race([end(), pause(DRAIN_MS, undefined, { ref: false })]));
    closers.push(async () => {
      stopping.abort(new HarnessError('not_ready', 'The backend is stopping.'));
      await server.close(DRAIN_MS);
    });
    log.info({ url: server.url, seconds: Math.round(performance.now() - began) / 1000 }, 'listening');
    return { url: server.url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Closer = () => Promise<void> | void;

async function closeAll(closers: readonly Closer[], log: Logger): Promise<void> {
  for (const close of closers.toReversed()) {
    try {
      await close();
    } catch (err) {
      log.error({ err }, 'while stopping');
    }
  }
  log.info('stopped');
}

/** What holds something: each is entered into `closers` as soon as it is open. The socket comes first, because it tells most. */
async function openAdapters(options: { config: Readonly<BackendConfig>; log: Logger; closers: Closer[] }) {
  const { config, log, closers } = options;
  const folder = lockDataFolder(config.dataDir);
  closers.push(() => folder.release());
  const server = await listen(config);
  closers.push(() => server.close(0));
  const opening = [
    connect({
      url: config.databaseUrl,
      folder,
      onRestart: () => log.error('the embedded database had died and was opened again'),
    }).then((connection) => {
      closers.push(() => connection.close());
      return connection;
    }),
    loadBundle(config.bundleDir).then(async (bundle) => {
      const encoder = await createEncoder({
        bundle,
        device: config.device,
        workers: config.encoderWorkers,
        onRestart: (why) => log.error({ why }, 'an encoder worker ended and was replaced'),
      });
      closers.push(() => encoder.close());
      return { bundle, encoder };
    }),
  ] as const;
  await Promise.allSettled(opening); // where one fails, the other must have been opened to be closed
  const [connection, { bundle, encoder }] = await Promise.all(opening);
  return { folder, server, connection, bundle, encoder };
}

type Wiring = Awaited<ReturnType<typeof openAdapters>> & { config: Readonly<BackendConfig>; log: Logger };

/** Brings the database and the live generation up, and puts the parts together behind the routes. */
async function wire({ folder, connection, bundle, encoder, config, log }: Wiring) {
  const { db, kind: database } = connection;
  const { model, spaceId, device } = encoder;
  const migrations = await migrate(db);
  await advance(db); // before events are taken: see startAgain in rollup-advance.ts
  log.info({ ...device, model, spaceId, database, migrations }, 'opened');
  if (device.reason !== undefined) log.warn(device, `encoding on ${device.provider}, not on ${device.requested}`);
  const metrics = createMetrics();
  metrics.setDevice(device);

  const servingConfig = await openServingConfig(db, DEFAULT_CONFIG);
  const live = new Live({ spaceId });
  const ladder = createVectorLadder({ bundleAds: await bundle.readAds(), encoder });
  const store = await openGenerationStore({ dataDir: folder.path });
  const publication = createPublication({ db, config: servingConfig, store, live, encoder, ladder, now: Date.now });
  const { number, problems } = await publication.start();
  for (const problem of problems) log.error({ generation: problem.number }, problem.error.message);
  log.info({ generation: number, ads: live.stats().ads }, number === null ? 'no generation yet' : 'generation is live');

  const onVectorsMissing = (err: unknown, ads: number) => {
    metrics.countMissingVectors(ads);
    log.warn({ err, ads }, 'ads without vectors until the next generation');
  };
  const onKillListChange = async () => void (await servingConfig.refresh());
  const catalogue = createCatalogue({
    db,
    space: encoder,
    follow: followInto({ live, ladder, isBuilding: publication.isBuilding, onVectorsMissing }),
    onKillListChange,
  });
  const headQueries = await bundle.readHeadQueries();
  const retrieval = createRetrieval({ encoder, live, calibration: bundle.manifest.calibration, headQueries });

  const stopping = new AbortController();
  /** Budgets of a new day, now where a day began while the service was down, and at every midnight. */
  const newDay = async () => {
    if (await forgetPastDays(db)) await onKillListChange();
    inTime(untilMidnight(Date.now()));
  };
  const inTime = (ms: number) => {
    const timer = setTimeout(
      () =>
        newDay().catch((err) => {
          log.error({ err }, 'budgets of the new day: will be tried again');
          inTime(NEW_DAY_RETRY_MS);
        }),
      ms,
    );
    timer.unref();
    stopping.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  };
  await newDay();
  const notReady = () => {
    if (stopping.signal.aborted) return 'The backend is stopping.';
    if (live.view !== undefined) return undefined;
    return 'No generation is live yet: put ads (POST /v1/ads:batch), then build one (POST /v1/generations).';
  };
  const health = () => {
    const { generation, version: configVersion } = servingConfig.current();
    const away = events.state();
    const said = { model, spaceId, device, database, generation, configVersion };
    return away === undefined ? said : { ...said, ...away, status: 'degraded' };
  };
  const events = openIntake({
    ...{ connection, metrics, log, refresh: onKillListChange },
    ...{ dataDir: config.dataDir, spoolBytes: config.spoolBytes },
  });
  const { availability, intake } = events;
  void intake.replay(); // what an earlier run left on disk
  watchState({ metrics, encoder, live, retrieval, config: servingConfig });

  const app = createApp({
    endpoints: [
      ...retrievalRoutes({
        retrieve: retrieval.retrieve,
        headAds: createHeadAds({ db, live, now: Date.now }),
        markets: () => servingConfig.current().markets,
        metrics,
      }),
      ...embeddingsRoutes({ encoder }),
      ...catalogueRoutes(catalogue),
      ...generationRoutes(publication, stopping.signal),
      ...eventRoutes({ db, intake }),
      ...experimentRoutes({ db, config: servingConfig }),
      ...operationsRoutes({ version: packageJson.version, health, notReady, metrics }),
    ].map((each) => withDatabase(each, availability)),
    auth: createAuthenticator({ keys: config.keys, now: Date.now }),
    apiKeys: createApiKeys(config.apiKeys),
    metrics,
    log,
    news: servingConfig.news,
  });
  return { app, stopping, db, metrics, events };
}

/** What goes on beside the requests; gives what ends each of it. */
function startBackground({
  db,
  metrics,
  config,
  log,
}: {
  db: Database;
  metrics: Metrics;
  config: Readonly<BackendConfig>;
  log: Logger;
}): (() => Promise<void>)[] {
  const failures = { rollup: 0, alerts: 0, alert_delivery: 0 };
  for (const [name, help] of [
    ['rollup', 'Rollups that failed.'],
    ['alerts', 'Looks for alarms that failed.'],
    ['alert_delivery', 'Alerts that the webhook did not take; each is tried again.'],
  ] as const)
    metrics.gauge({ name: `harness_${name}_failures`, help, read: () => failures[name] });
  const failed = (name: 'rollup' | 'alerts') => (err: unknown) => {
    failures[name]++;
    log.error({ err }, `${name}: will be tried again`);
  };
  const rollup = startPeriodic({ everyMs: ROLLUP_MS, work: () => advance(db), onError: failed('rollup') });
  const { alertWebhook: url, keys } = config;
  if (url === undefined) return [rollup];
  const onFailure = (alert: Alert, reason: string) => {
    failures.alert_delivery++;
    log.warn({ alert: alert.id, reason }, 'the webhook did not take an alert');
  };
  const alerts = startPeriodic({
    everyMs: ALERTS_MS,
    async work(signal) {
      for (const { id } of await raiseAlerts(db, Date.now())) log.warn({ alert: id }, 'alert');
      await deliverAlerts(db, { url, keys, now: Date.now, signal, onFailure });
    },
    onError: failed('alerts'),
  });
  return [rollup, alerts];
}

if (import.meta.main) {
  parseCommandLine({ name: 'node gpu-backend/main.ts', description: 'Runs the backend until SIGINT or SIGTERM.' });
  try {
    const backend = await startBackend(parseConfig(process.env));
    let stopping = false;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, async () => {
        if (stopping) return;
        stopping = true;
        await backend.stop();
        process.exit(0);
      });
    }
  } catch (error) {
    exitWith(error);
  }
}
