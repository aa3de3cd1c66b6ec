/**
 * The backend as a program and as a function. This file alone knows which adapters there are: it opens them in order,
 * wires them, and closes them in reverse.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { requireSameSpace } from '../shared/bundle.ts';
import type { Alert } from '../shared/contract/alerts.ts';
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { HarnessError } from '../shared/problem.ts';
import { deliverAlerts } from './alerts/deliver.ts';
import { raiseAlerts } from './alerts/raise.ts';
import { createAccounts, loadTerms } from './catalogue/accounts.ts';
import { createCatalogue } from './catalogue/catalogue.ts';
import { followInto } from './catalogue/follow.ts';
import { followDays } from './catalogue/new-day.ts';
import { forgetPastDays } from './catalogue/spend.ts';
import { Terms } from './catalogue/terms.ts';
import { exitWith, parseCommandLine } from './command-line.ts';
import { type BackendConfig, parseConfig } from './config.ts';
import { connect, type Database } from './db/connect.ts';
import { reached } from './db/counters.ts';
import { lockDataFolder } from './db/data-folder.ts';
import { exclusively } from './db/exclusive.ts';
import { migrate } from './db/migrate.ts';
import { type Bundle, loadBundle } from './encoder/bundle.ts';
import { cachedEncoder } from './encoder/cached.ts';
import type { Encoder } from './encoder/encoder.ts';
import { createEncoder } from './encoder/pool.ts';
import { openServedModel } from './encoder/served-model.ts';
import { openIntake } from './events/open-intake.ts';
import { advance } from './experiments/rollup-advance.ts';
import { Live } from './generations/live.ts';
import { openGenerationStore } from './generations/store.ts';
import { createVectorLadder } from './generations/vectors.ts';
import { createApiKeys } from './http/api-keys.ts';
import { createApp } from './http/app.ts';
import { createAuthenticator } from './http/auth.ts';
import { watchState } from './http/gauges.ts';
import { createMetrics, type Metrics } from './http/metrics.ts';
import { accountRoutes } from './http/routes-accounts.ts';
import { catalogueRoutes } from './http/routes-catalogue.ts';
import { embeddingsRoutes } from './http/routes-embeddings.ts';
import { eventRoutes } from './http/routes-events.ts';
import { experimentRoutes } from './http/routes-experiments.ts';
import { generationRoutes } from './http/routes-generations.ts';
import { modelRoutes } from './http/routes-model.ts';
import { operationsRoutes } from './http/routes-operations.ts';
import { retrievalRoutes } from './http/routes-retrieval.ts';
import { listen } from './http/server.ts';
import { withDatabase } from './http/with-database.ts';
import { startPeriodic } from './periodic.ts';
import { killedBy } from './retrieval/admission.ts';
import { retrieveByModel } from './retrieval/by-model.ts';
import { openCandidateLog } from './retrieval/candidate-log.ts';
import { createHeadAds } from './retrieval/head-ads.ts';
import { createRecallCanary, type RecallCanary } from './retrieval/recall-canary.ts';
import { createRetrieval } from './retrieval/retrieve.ts';
import { createFollower } from './serving-config/follower.ts';
import { createPublication } from './serving-config/publication.ts';
import { openServingConfig } from './serving-config/serving-config.ts';

export interface Backend {
  url: string;
  /** Drains and lets go of everything, in about 3 s at most. */
  stop(): Promise<void>;
}

/** How long running requests may take once the service is asked to stop. */
const DRAIN_MS = 1_500;
/** How often rollups are brought up, and experiments are looked at for alarms; reports bring rollups up by themselves. */
const [ROLLUP_MS, ALERTS_MS] = [5_000, 60_000];
/** How often the index is compared with exact search on what was asked lately. */
const CANARY_MS = 60_000;
/** How often other backends on the same database are followed; with the edge's half second, a pause holds everywhere within one. */
const FOLLOW_MS = 200;
/** Postgres' advisory lock of publications; any number that nothing else takes. */
const PUBLICATION_LOCK = 7_118_223;

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
    if (config.traceRate !== undefined) {
      const { startTracing } = await import('./tracing/export.ts');
      const tracing = startTracing({ version: packageJson.version, rate: config.traceRate });
      closers.push(() => Promise.race([tracing.stop(), pause(DRAIN_MS, undefined, { ref: false })]));
    }
    const adapters = await openAdapters({ config, log, closers });
    const { app, stopping, db, metrics, peers, events, canary, candidateLog } = await wire({
      ...adapters,
      config,
      log,
    });
    const { server } = adapters;
    closers.push(() => candidateLog?.close());
    closers.push(() => events.close());
    server.serve(app);
    for (const end of startBackground({ db, metrics, peers, canary, config, log }))
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
  const openEncoder = async (bundle: Bundle) => {
    const pool = await createEncoder({
      bundle,
      device: config.device,
      workers: config.encoderWorkers,
      maxQueued: config.encoderQueue,
      onRestart: (why) => log.error({ why }, 'an encoder worker ended and was replaced'),
    });
    return cachedEncoder(pool, { maxBytes: config.embeddingCacheBytes });
  };
  const opening = [
    connect({
      url: config.databaseUrl,
      folder,
      onRestart: () => log.error('the embedded database had died and was opened again'),
    }).then((connection) => {
      closers.push(() => connection.close());
      return connection;
    }),
    openServedModel({ dir: config.bundleDir, open: openEncoder }).then((served) => {
      closers.push(() => served.encoder.close());
      return served;
    }),
    openCandidate(config.candidateBundleDir, openEncoder).then((candidate) => {
      closers.push(() => candidate?.encoder.close());
      return candidate;
    }),
    openIndexServer(config, log).then((milvus) => {
      closers.push(() => milvus?.close());
      return milvus;
    }),
    openScan(config, log).then((scan) => {
      closers.push(() => scan && Promise.race([scan.close(), pause(DRAIN_MS, undefined, { ref: false })]));
      return scan;
    }),
  ] as const;
  await Promise.allSettled(opening); // where one fails, the other must have been opened to be closed
  const [connection, served, candidate, milvus, scan] = await Promise.all(opening);
  if (candidate !== undefined) requireOtherName(served.bundle, candidate.bundle);
  return { server, connection, served, candidate, milvus, scan };
}

/** The student that experiments may name beside the one that is served. */
async function openCandidate(dir: string | undefined, open: (bundle: Bundle) => Promise<Encoder>) {
  if (dir === undefined) return undefined;
  const bundle = await loadBundle(dir);
  return { bundle, encoder: await open(bundle) };
}

function requireOtherName({ manifest: served }: Bundle, { manifest: candidate }: Bundle): void {
  requireSameSpace(
    { what: `the bundle ${served.name}`, spaceId: served.spaceId },
    { what: `the candidate ${candidate.name}`, spaceId: candidate.spaceId },
  );
  if (served.name === candidate.name) {
    throw new HarnessError(
      'configuration',
      `HARNESS_CANDIDATE_BUNDLE: expected another name than the served bundle's, got ${candidate.name} too; train it under a name of its own.`,
    );
  }
}

/** Milvus, where the index is to be there; its library is loaded only then. */
async function openIndexServer({ milvus: settings }: Readonly<BackendConfig>, log: Logger) {
  if (settings === undefined) return undefined;
  const { openMilvus } = await import('./index/milvus.ts');
  const fallbacks = { scan: 0, refused: 0, left: 0 };
  const milvus = await openMilvus({
    ...settings,
    onFallback({ to, reason }) {
      // Once a kind: a Milvus that is away would fill the log; the metric counts.
      if (fallbacks[to]++ === 0) log.error({ to, reason }, 'Milvus failed or was late');
    },
  });
  return Object.assign(milvus, { fallbacks });
}

/** The device, where it is to scan in the place of graphs; its library is loaded only then. */
async function openScan({ index, device }: Readonly<BackendConfig>, log: Logger) {
  if (index !== 'scan') return undefined;
  const { openScanDevice } = await import('./index/scan-device.ts');
  const fallbacks = { market: 0, search: 0 };
  const scan = openScanDevice({
    provider: device,
    onFallback({ of, reason }) {
      // Once a kind, as for Milvus.
      if (fallbacks[of]++ === 0) log.error({ of, reason }, `not scanned on ${device}: searched in the graph`);
    },
  });
  return Object.assign(scan, { fallbacks });
}

type Wiring = Awaited<ReturnType<typeof openAdapters>> & { config: Readonly<BackendConfig>; log: Logger };

/** Brings the database and the live generation up, and puts the parts together behind the routes. */
async function wire({ connection, served, candidate, milvus, scan, config, log }: Wiring) {
  const { db, kind: database } = connection;
  const { encoder } = served;
  const { spaceId } = encoder;
  const migrations = await migrate(db);
  await advance(db); // before events are taken: see startAgain in rollup-advance.ts
  log.info({ database, migrations }, 'opened');
  const metrics = createMetrics();
  const sayModel = () => {
    const { model, device } = encoder;
    log.info({ ...device, model, spaceId }, `encoding on ${device.provider} in ${device.precision}`);
    if (device.reason !== undefined) log.warn(device, `encoding on ${device.provider}, not on ${device.requested}`);
    metrics.setDevice(device);
  };
  sayModel();

  const servingConfig = await openServingConfig(db, DEFAULT_CONFIG);
  const live = new Live({ spaceId });
  const ladder = createVectorLadder({ bundleAds: await served.bundle.readAds(), encoder });
  const store = await openGenerationStore({ dir: config.generationsDir, milvus, scan });
  const publication = createPublication({
    ...{ db, config: servingConfig, store, live, encoder, ladder, now: Date.now },
    exclusive: exclusively(connection, PUBLICATION_LOCK),
  });
  const revision = await reached(db, 'catalogue'); // before the catalogue is read: what comes later is followed
  const { number, problems } = await publication.start();
  for (const problem of problems) log.error({ generation: problem.number }, problem.error.message);
  log.info({ generation: number, ads: live.stats().ads }, number === null ? 'no generation yet' : 'generation is live');

  const onVectorsMissing = (err: unknown, ads: number) => {
    metrics.countMissingVectors(ads);
    log.warn({ err, ads }, 'ads without vectors until the next generation');
  };
  const follow = followInto({ live, ladder, isBuilding: publication.isBuilding, onVectorsMissing });
  const onKillListChange = async () => void (await servingConfig.refresh());
  const terms = new Terms({ now: Date.now });
  await loadTerms(db, terms);
  const accounts = createAccounts({ db, terms, onKillListChange });
  const catalogue = createCatalogue({
    db,
    space: encoder,
    follow,
    onKillListChange,
  });
  const candidateLog = await openSampling({ config, log, metrics });
  const retrievalBy = async (bundle: Bundle, by = encoder) =>
    createRetrieval({
      ...{ encoder: by, live, calibration: bundle.manifest.calibration },
      admitted: { terms, killed: killedBy(() => servingConfig.current().killList) },
      headQueries: await bundle.readHeadQueries(),
      ...(candidateLog && { onConsidered: candidateLog.offer }),
    });
  let retrieval = await retrievalBy(served.bundle);
  const other = candidate && {
    model: candidate.encoder.model,
    retrieval: await retrievalBy(candidate.bundle, candidate.encoder),
  };
  if (other !== undefined) log.info({ model: other.model }, 'candidate is open for plans that name it');
  const reloadModel = async () => {
    const changed = await served.reload(async (next) => {
      const [ads, itsRetrieval] = await Promise.all([next.readAds(), retrievalBy(next)]);
      return () => {
        ladder.adopt(ads);
        retrieval = itsRetrieval;
        sayModel();
      };
    });
    const { model, studentSha256, device } = encoder;
    return { model, spaceId, studentSha256, device, changed };
  };

  const stopping = new AbortController();
  const endDays = await followDays({
    forget: () => forgetPastDays(db),
    onKillListChange,
    now: Date.now,
    onError: (err) => log.error({ err }, 'budgets of the new day: will be tried again'),
  });
  stopping.signal.addEventListener('abort', endDays, { once: true });
  const notReady = () => {
    if (stopping.signal.aborted) return 'The backend is stopping.';
    if (live.view !== undefined) return undefined;
    return 'No generation is live yet: put ads (POST /v1/ads:batch), then build one (POST /v1/generations).';
  };
  const health = () => {
    const { generation, version: configVersion } = servingConfig.current();
    const { model, device } = encoder;
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
  const canary = createRecallCanary({ live, encoder });
  watchState({ metrics, encoder, live, retrieval: { stats: () => retrieval.stats() }, canary, config: servingConfig });
  for (const [to, help] of [
    ['scan', 'Searches that Milvus did not answer and that were done here.'],
    ['refused', 'Queries refused because Milvus did not answer.'],
    ['left', 'Collections in Milvus that could not be removed.'],
  ] as const)
    if (milvus !== undefined) metrics.gauge({ name: `harness_milvus_${to}`, help, read: () => milvus.fallbacks[to] });
  if (scan !== undefined) watchScan(metrics, scan);

  const app = createApp({
    endpoints: [
      ...retrievalRoutes({
        retrieve: retrieveByModel({ served: () => ({ model: encoder.model, retrieval }), candidate: other }),
        headAds: createHeadAds({ db, live, terms, now: Date.now }),
        markets: () => servingConfig.current().markets,
        onAnswered: canary.observe,
        metrics,
      }),
      ...embeddingsRoutes({ encoder }),
      ...modelRoutes(reloadModel),
      ...catalogueRoutes(catalogue),
      ...accountRoutes(accounts),
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
  const peers =
    database === 'postgres'
      ? createFollower({
          db,
          spaceId,
          live,
          terms,
          config: servingConfig,
          publication,
          follow,
          revision,
          now: Date.now,
        })
      : undefined;
  return { app, stopping, db, metrics, peers, events, canary, candidateLog };
}

function watchScan(metrics: Metrics, scan: NonNullable<Wiring['scan']>): void {
  for (const [name, help, read] of [
    ['markets', 'Markets that are scanned on the device now.', () => scan.stats().markets],
    ['queries', 'Queries asked of scans, since the start.', () => scan.stats().queries],
    ['batches', 'Runs on the device that they shared, since the start.', () => scan.stats().batches],
    ['market_fallbacks', 'Markets that a generation searches in its graph instead.', () => scan.fallbacks.market],
    ['search_fallbacks', 'Queries searched in the graph instead.', () => scan.fallbacks.search],
  ] as const)
    metrics.gauge({ name: `harness_scan_${name}`, help, read });
}

/** The log of candidates, where a share of the answers is to be logged. */
async function openSampling(options: { config: Readonly<BackendConfig>; log: Logger; metrics: Metrics }) {
  const { config, log, metrics } = options;
  if (config.candidateSampling === 0) return undefined;
  const dir = join(config.dataDir, 'candidates');
  const onError = (err: unknown) => log.error({ err }, 'candidates were not logged');
  const opened = await openCandidateLog({
    ...{ dir, share: config.candidateSampling, onError },
    ...{ now: Date.now, random: Math.random },
  });
  for (const [outcome, help] of [
    ['logged', 'Answers whose candidates were logged.'],
    ['dropped', 'Answers whose candidates should have been logged and were not: the disk was away or behind.'],
  ] as const)
    metrics.gauge({ name: `harness_candidates_${outcome}`, help, read: () => opened.stats()[outcome] });
  return opened;
}

/** What goes on beside the requests; gives what ends each of it. */
function startBackground({
  db,
  metrics,
  peers,
  canary,
  config,
  log,
}: {
  db: Database;
  metrics: Metrics;
  peers: (() => Promise<void>) | undefined;
  canary: RecallCanary;
  config: Readonly<BackendConfig>;
  log: Logger;
}): (() => Promise<void>)[] {
  const failures = { rollup: 0, alerts: 0, alert_delivery: 0, follow: 0, canary: 0 };
  for (const [name, help] of [
    ['rollup', 'Rollups that failed.'],
    ['alerts', 'Looks for alarms that failed.'],
    ['follow', 'Looks at what other backends did that failed.'],
    ['canary', 'Comparisons of the index with exact search that failed.'],
    ['alert_delivery', 'Alerts that the webhook did not take; each is tried again.'],
  ] as const)
    metrics.gauge({ name: `harness_${name}_failures`, help, read: () => failures[name] });
  const failed = (name: 'rollup' | 'alerts' | 'follow' | 'canary') => (err: unknown) => {
    failures[name]++;
    log.error({ err }, `${name}: will be tried again`);
  };
  const rollup = startPeriodic({ everyMs: ROLLUP_MS, work: () => advance(db), onError: failed('rollup') });
  const running = [rollup];
  running.push(startPeriodic({ everyMs: CANARY_MS, work: canary.run, onError: failed('canary') }));
  if (peers !== undefined) running.push(startPeriodic({ everyMs: FOLLOW_MS, work: peers, onError: failed('follow') }));
  const { alertWebhook: url, keys } = config;
  if (url === undefined) return running;
  const onFailure = (alert: Alert, reason: string) => {
    failures.alert_delivery++;
    log.warn({ alert: alert.id, reason }, 'the webhook did not take an alert');
  };
  const alerts = startPeriodic({
    everyMs: ALERTS_MS,
    async work(signal) {
      const raised = await raiseAlerts(db, {
        nowMs: Date.now(),
        onFailure: (experiment, cause) => failed('alerts')(new Error(`of ${experiment}`, { cause })),
      });
      for (const { id } of raised) log.warn({ alert: id }, 'alert');
      await deliverAlerts(db, { url, keys, now: Date.now, signal, onFailure });
    },
    onError: failed('alerts'),
  });
  return [...running, alerts];
}

if (import.meta.main) {
  parseCommandLine({ name: 'node gpu-backend/main.ts', description: 'Runs the backend until SIGINT or SIGTERM.' });
  let backend: Backend | undefined;
  let stopping = false;
  // Before anything else: the first process of a container is not ended by a signal that it has no handler for.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(signal, async () => {
      if (backend === undefined) process.exit(code); // what is half open recovers, as from a crash
      if (stopping) return;
      stopping = true;
      await backend.stop();
      process.exit(0);
    });
  }
  try {
    backend = await startBackend(parseConfig(process.env));
  } catch (error) {
    exitWith(error);
  }
}
