/** The parts behind the routes: the database and the live generation are brought up, and everything is put together. */
import type { Logger } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import type { Adapters } from './adapters.ts';
import { createAccounts, loadEligibility } from './catalogue/accounts.ts';
import { stagedRows } from './catalogue/bulk-load.ts';
import { createCatalogue } from './catalogue/catalogue.ts';
import { Eligibility } from './catalogue/eligibility.ts';
import { followInto } from './catalogue/follow.ts';
import { followDays } from './catalogue/new-day.ts';
import { forgetPastDays } from './catalogue/spend.ts';
import type { BackendConfig } from './config.ts';
import { reached } from './db/counters.ts';
import { migrate } from './db/migrate.ts';
import { openIntake } from './events/open-intake.ts';
import { advance } from './experiments/rollup-advance.ts';
import { openGenerations } from './generations/open-generations.ts';
import { createRebuilder } from './generations/rebuild.ts';
import { createApiKeys } from './http/api-keys.ts';
import { createApp } from './http/app.ts';
import { createAuthenticator } from './http/auth.ts';
import { createMetrics } from './http/metrics.ts';
import { accountRoutes } from './http/routes-accounts.ts';
import { catalogueRoutes } from './http/routes-catalogue.ts';
import { embeddingsRoutes } from './http/routes-embeddings.ts';
import { eventRoutes } from './http/routes-events.ts';
import { experimentRoutes } from './http/routes-experiments.ts';
import { generationRoutes } from './http/routes-generations.ts';
import { modelRoutes } from './http/routes-model.ts';
import { operationsRoutes } from './http/routes-operations.ts';
import { retrievalRoutes } from './http/routes-retrieval.ts';
import { watchState } from './http/watch-state.ts';
import { withDatabase } from './http/with-database.ts';
import { watchEngines } from './index/engines.ts';
import { killedBy } from './retrieval/admission.ts';
import { createHeadAds } from './retrieval/head-ads.ts';
import { createModels } from './retrieval/models.ts';
import { openSampling } from './retrieval/open-candidate-log.ts';
import { createRecallCanary } from './retrieval/recall-canary.ts';
import { createFollower } from './serving-config/follower.ts';
import { openServingConfig } from './serving-config/serving-config.ts';

/** For what waits: epoch milliseconds at the start and steady from then on, however the system's clock is set meanwhile. */
const steadyNow = () => Math.round(performance.timeOrigin + performance.now());

type ServiceOptions = Adapters & { config: Readonly<BackendConfig>; log: Logger };

/** Brings the database and the live generation up, and puts the parts together behind the routes. */
export async function createService(options: ServiceOptions) {
  const { connection, served, candidate, milvus, scan, config, log } = options;
  const { db, batch, kind: database } = connection;
  const { encoder } = served;
  const { spaceId } = encoder;
  const migrations = await migrate(batch);
  await advance(batch); // before events are taken: see renumber in rollup-advance.ts
  log.info({ database, migrations }, 'opened');
  const metrics = createMetrics();
  metrics.device(() => encoder.device);

  const servingConfig = await openServingConfig(db, DEFAULT_CONFIG);
  const revision = await reached(db, 'catalogue'); // before the catalogue is read: what comes later is followed
  const { live, ladder, publication } = await openGenerations({
    ...options,
    servingConfig,
    metrics,
  });

  const onVectorsMissing = (err: unknown, ads: number) => {
    metrics.countMissingVectors(ads);
    log.warn({ err, ads }, 'ads without vectors until the next generation');
  };
  const follow = followInto({ live, ladder, isBuilding: publication.isBuilding, onVectorsMissing });
  const onKillListChange = async () => void (await servingConfig.refresh());
  const eligibility = new Eligibility({ now: Date.now });
  await loadEligibility(db, eligibility);
  const accounts = createAccounts({ db, eligibility, onKillListChange });
  const catalogue = createCatalogue({
    db,
    space: encoder,
    follow: async (changes) => follow.bring(await follow.hold(changes)),
    onKillListChange,
  });
  const candidateLog = await openSampling({ config, log, metrics });
  const plansInUse = () => {
    const { plan, experiments } = servingConfig.current();
    const running = experiments.filter(({ status }) => status === 'running');
    return [plan, ...running.flatMap(({ arms }) => arms.map(({ parameters }) => parameters))];
  };
  const models = await createModels({
    served,
    candidate,
    live,
    ladder,
    log,
    plans: plansInUse,
    admitted: { eligibility, killed: killedBy(() => servingConfig.current().killList) },
    ...(candidateLog && { onConsidered: candidateLog.offer }),
  });

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
    if (encoder.failure !== undefined) return encoder.failure;
    if (live.view !== undefined) return undefined;
    return 'No generation is live yet: put ads (POST /v1/ads:batch), then build one (POST /v1/generations).';
  };
  const health = () => {
    const { generation, version: configVersion } = servingConfig.current();
    const { model, device } = encoder;
    const away = events.state();
    const said = { model, spaceId, device, database, generation, configVersion, rebuild: rebuilder.state() };
    return away === undefined ? said : { ...said, ...away, status: 'degraded' };
  };
  const events = openIntake({
    connection,
    metrics,
    log,
    refresh: onKillListChange,
    dataDir: config.dataDir,
    spoolBytes: config.spoolBytes,
  });
  const { availability, intake } = events;
  const rebuilder = createRebuilder({
    ...config.rebuild,
    live,
    build: publication.build,
    now: steadyNow,
    staged: () => availability.guard(() => stagedRows(db)),
    onBuilt: ({ number, ads, recall }, how) => log.info({ ...how, generation: number, ads, recall }, 'built by itself'),
    onFailed: (err) => log.error({ err }, 'no generation was built: the old one serves, later and later tries'),
  });
  void intake.replay(); // what an earlier run left on disk
  const canary = createRecallCanary({ live, encoder });
  watchState({
    metrics,
    encoder,
    live,
    retrieval: models,
    canary,
    rebuilder,
    config: servingConfig,
  });
  watchEngines(metrics, { milvus, scan });

  const app = createApp({
    endpoints: [
      ...retrievalRoutes({
        retrieve: models.retrieve,
        headAds: createHeadAds({ db, live, eligibility, now: Date.now }),
        markets: () => servingConfig.current().markets,
        onAnswered: canary.observe,
        metrics,
      }),
      ...embeddingsRoutes({ encoder }),
      ...modelRoutes(models.reload),
      ...catalogueRoutes(catalogue),
      ...accountRoutes(accounts),
      ...generationRoutes(publication, stopping.signal),
      ...eventRoutes({ db, intake }),
      ...experimentRoutes({ db, batch, config: servingConfig }),
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
          eligibility,
          config: servingConfig,
          publication,
          follow,
          revision,
          now: steadyNow,
        })
      : undefined;
  /** While the database is away there is no catalogue to build from. */
  const rebuild = async (signal: AbortSignal) => {
    if (availability.away() !== undefined) return;
    await availability.guard(publication.settle);
    await rebuilder.look(signal);
  };
  return { app, stopping, metrics, peers, rebuild, events, canary, candidateLog };
}
