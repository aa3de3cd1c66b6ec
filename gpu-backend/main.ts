/**
 * The backend as a program and as a function. This file alone knows which adapters there are: it opens them in order,
 * wires them, and closes them in reverse.
 */
import { setMaxListeners } from 'node:events';
import { type Logger, pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { HarnessError } from '../shared/problem.ts';
import { createCatalogue } from './catalogue/catalogue.ts';
import { followInto } from './catalogue/follow.ts';
import { exitWith, parseCommandLine } from './command-line.ts';
import { type BackendConfig, parseConfig } from './config.ts';
import { connect } from './db/connect.ts';
import { lockDataFolder } from './db/data-folder.ts';
import { migrate } from './db/migrate.ts';
import { loadBundle } from './encoder/bundle.ts';
import { createEncoder } from './encoder/pool.ts';
import { Live } from './generations/live.ts';
import { openGenerationStore } from './generations/store.ts';
import { createVectorLadder } from './generations/vectors.ts';
import { createApp } from './http/app.ts';
import { createAuthenticator } from './http/auth.ts';
import { watchState } from './http/gauges.ts';
import { createMetrics } from './http/metrics.ts';
import { catalogueRoutes } from './http/routes-catalogue.ts';
import { eventRoutes } from './http/routes-events.ts';
import { experimentRoutes } from './http/routes-experiments.ts';
import { generationRoutes } from './http/routes-generations.ts';
import { operationsRoutes } from './http/routes-operations.ts';
import { retrievalRoutes } from './http/routes-retrieval.ts';
import { listen } from './http/server.ts';
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

/**
 * Starts the service; resolves when it answers, which before the first generation is `not_ready` for queries. Throws a
 * {@link HarnessError} in one line for what the operator can mend, and leaves nothing open then.
 */
export async function startBackend(config: Readonly<BackendConfig>): Promise<Backend> {
  const log = pino({ level: config.logLevel, base: null });
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) {
      await Promise.resolve()
        .then(close)
        .catch((err: unknown) => log.error({ err }, 'while stopping'));
    }
  };
  try {
    const url = await open(config, log, closers);
    return { url, stop: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function open(config: Readonly<BackendConfig>, log: Logger, closers: (() => Promise<void> | void)[]) {
  const began = performance.now();
  const folder = lockDataFolder(config.dataDir);
  closers.push(() => folder.release());
  const server = await listen(config);
  closers.push(() => server.close(0));

  const opening = await Promise.allSettled([
    connect({ url: config.databaseUrl, folder }).then((connection) => {
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
  ]);
  const [connection, { bundle, encoder }] = opening.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  }) as [
    Awaited<ReturnType<typeof connect>>,
    { bundle: Awaited<ReturnType<typeof loadBundle>>; encoder: Awaited<ReturnType<typeof createEncoder>> },
  ];
  const { db } = connection;
  const migrations = await migrate(db);
  const { device } = encoder;
  log.info(
    { ...device, model: encoder.model, spaceId: encoder.spaceId, database: connection.kind, migrations },
    'opened',
  );
  if (device.reason !== undefined) log.warn(device, `encoding on ${device.provider}, not on ${device.requested}`);

  const metrics = createMetrics();
  metrics.setDevice(device);
  const servingConfig = await openServingConfig(db, DEFAULT_CONFIG);
  const live = new Live({ spaceId: encoder.spaceId });
  const ladder = createVectorLadder({ bundleAds: await bundle.readAds(), encoder });
  const store = await openGenerationStore({ dataDir: folder.path });
  const publication = createPublication({ db, config: servingConfig, store, live, encoder, ladder, now: Date.now });
  const { number, problems } = await publication.start();
  for (const problem of problems) log.error({ generation: problem.number }, problem.error.message);
  log.info({ generation: number, ads: live.stats().ads }, number === null ? 'no generation yet' : 'generation is live');

  const catalogue = createCatalogue({
    db,
    space: encoder,
    follow: followInto({
      live,
      ladder,
      isBuilding: publication.isBuilding,
      onVectorsMissing: (err, ads) => {
        metrics.countMissingVectors(ads);
        log.warn({ err, ads }, 'ads without vectors until the next generation');
      },
    }),
    onKillListChange: async () => void (await servingConfig.refresh()),
  });
  const { retrieve } = createRetrieval({ encoder, live, calibration: bundle.manifest.calibration });

  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const notReady = () => {
    if (stopping.signal.aborted) return 'The backend is stopping.';
    return live.view === undefined
      ? 'No generation is live yet: put ads (POST /v1/ads:batch), then build one (POST /v1/generations).'
      : undefined;
  };
  watchState({ metrics, encoder, live, config: servingConfig });

  const app = createApp({
    endpoints: [
      ...retrievalRoutes({ retrieve, encoder, markets: () => servingConfig.current().markets, metrics }),
      ...catalogueRoutes(catalogue),
      ...generationRoutes(publication, stopping.signal),
      ...eventRoutes({ db, metrics }),
      ...experimentRoutes({ db, config: servingConfig }),
      ...operationsRoutes({
        version: packageJson.version,
        health: () => ({
          model: encoder.model,
          spaceId: encoder.spaceId,
          device,
          database: connection.kind,
          generation: servingConfig.current().generation,
          configVersion: servingConfig.current().version,
        }),
        notReady,
        metrics,
      }),
    ],
    auth: createAuthenticator({ keys: config.keys, now: Date.now }),
    metrics,
    log,
    news: servingConfig.news,
  });
  server.serve(app);
  closers.push(async () => {
    stopping.abort(new HarnessError('not_ready', 'The backend is stopping.'));
    await server.close(DRAIN_MS);
    log.info('stopped');
  });
  log.info({ url: server.url, seconds: Math.round(performance.now() - began) / 1000 }, 'listening');
  return server.url;
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
