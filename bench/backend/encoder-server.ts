/**
 * The encoder service as a process: socket, routes, keys, schemas, cache, queue and workers are the backend's own. What is
 * missing is the database and the index, which no embedding asks. The cache keeps nothing, so that every text is computed.
 */
import { pino } from 'pino';
import { loadBundle } from '../../gpu-backend/encoder/bundle.ts';
import { cachedEncoder } from '../../gpu-backend/encoder/cached.ts';
import { createEncoder } from '../../gpu-backend/encoder/pool.ts';
import { createApiKeys } from '../../gpu-backend/http/api-keys.ts';
import { createApp } from '../../gpu-backend/http/app.ts';
import { createAuthenticator } from '../../gpu-backend/http/auth.ts';
import { createMetrics } from '../../gpu-backend/http/metrics.ts';
import { embeddingsRoutes } from '../../gpu-backend/http/routes-embeddings.ts';
import { operationsRoutes } from '../../gpu-backend/http/routes-operations.ts';
import { listen } from '../../gpu-backend/http/server.ts';
import { serve } from '../../scripts/service.ts';
import { parseKeyRing } from '../../shared/signature.ts';
import { absentEndpoints } from '../../test/setup/absent-endpoints.ts';
import { encoderMeter } from './encoder-meter.ts';

const server = await listen({ host: '127.0.0.1', port: 0 });
const workers = Number(process.env.HARNESS_ENCODER_WORKERS);
const { workerUrl, read } = encoderMeter();
const pool = await createEncoder({
  bundle: await loadBundle('models/default'),
  workers,
  maxQueued: 100_000,
  workerUrl,
});
const encoder = cachedEncoder(pool, { maxBytes: 1 });
const metrics = createMetrics();
metrics.counter({ name: 'harness_encoder_encoded_total', help: 'Texts encoded.', read: () => encoder.stats().encoded });
metrics.counter({ name: 'harness_encoder_batches_total', help: 'Batches run.', read: () => encoder.stats().batches });
for (const part of ['eventLoop', 'workers', 'process'] as const)
  metrics.gauge({ name: `harness_bench_cpu_${part}`, help: 'Seconds of processor time.', read: () => read()[part] });
const operations = operationsRoutes({
  version: 'bench',
  metrics,
  health: () => ({ device: encoder.device }),
  notReady: () => undefined,
});
server.serve(
  createApp({
    endpoints: absentEndpoints([...embeddingsRoutes({ encoder }), ...operations]),
    auth: createAuthenticator({ keys: [], now: Date.now }),
    apiKeys: createApiKeys(parseKeyRing(process.env.HARNESS_API_KEYS!)),
    metrics,
    log: pino({ level: 'warn', base: null }),
    news: () => ({}),
  }),
);
serve({
  url: server.url,
  async stop() {
    await server.close(500);
    await encoder.close();
  },
});
