/** The generations of this process: their store, their publication, and the one that was live brought up again. */
import type { Logger } from 'pino';
import type { Adapters } from '../adapters.ts';
import type { BackendConfig } from '../config.ts';
import { exclusively } from '../db/exclusive.ts';
import type { Metrics } from '../http/metrics.ts';
import { createPublication } from '../serving-config/publication.ts';
import type { ServingConfigSource } from '../serving-config/serving-config.ts';
import { Live } from './live.ts';
import { openGenerationStore } from './store.ts';
import { createVectorLadder } from './vectors.ts';

/** Postgres' advisory lock of publications; any number that nothing else takes. */
const PUBLICATION_LOCK = 7_118_223;

interface GenerationsOptions extends Pick<Adapters, 'connection' | 'served' | 'milvus' | 'scan'> {
  servingConfig: ServingConfigSource;
  config: Readonly<BackendConfig>;
  metrics: Metrics;
  log: Logger;
}

export async function openGenerations(options: GenerationsOptions) {
  const { connection, served, milvus, scan, servingConfig, config, metrics, log } = options;
  const { encoder, bundle } = served;
  const live = new Live(encoder);
  const ladder = createVectorLadder({ bundleAds: await bundle.readAds(), encoder });
  let leftOver = 0;
  const help = 'Publications after which an old generation could not be removed; the next one tries again.';
  metrics.counter({ name: 'harness_generations_left_over_total', help, read: () => leftOver });
  const store = await openGenerationStore({
    dir: config.generationsDir,
    milvus,
    scan,
    onUnmeasured: (of) => log.warn(of, 'its graph is searched and was never measured: build a generation here'),
    onLeftOver: (err) => {
      leftOver++;
      log.error({ err }, 'an old generation could not be removed; the next publication tries again');
    },
  });
  const publication = createPublication({
    db: connection.batch,
    config: servingConfig,
    store,
    live,
    encoder,
    ladder,
    now: Date.now,
    exclusive: exclusively(connection, PUBLICATION_LOCK),
  });
  const { number, problems } = await publication.start();
  for (const problem of problems) log.error({ generation: problem.number }, problem.error.message);
  log.info({ generation: number, ads: live.stats().ads }, number === null ? 'no generation yet' : 'generation is live');
  return { live, ladder, publication };
}
