/**
 * The backend's part of a query, as a process: socket, signature, schemas, encoder, index, fusion and calibration are
 * the service's own. What is missing is the database, which no query asks.
 */
import { pino } from 'pino';
import { loadBundle } from '../../gpu-backend/encoder/bundle.ts';
import { createEncoder } from '../../gpu-backend/encoder/pool.ts';
import { Live } from '../../gpu-backend/generations/live.ts';
import { loadGeneration } from '../../gpu-backend/generations/load.ts';
import { createApiKeys } from '../../gpu-backend/http/api-keys.ts';
import { createApp } from '../../gpu-backend/http/app.ts';
import { createAuthenticator } from '../../gpu-backend/http/auth.ts';
import type { Endpoint } from '../../gpu-backend/http/endpoint.ts';
import { createMetrics } from '../../gpu-backend/http/metrics.ts';
import { retrievalRoutes } from '../../gpu-backend/http/routes-retrieval.ts';
import { listen } from '../../gpu-backend/http/server.ts';
import { createRetrieval } from '../../gpu-backend/retrieval/retrieve.ts';
import { serve } from '../../scripts/service.ts';
import { BACKEND_ROUTES } from '../../shared/contract/routes.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { HarnessError } from '../../shared/problem.ts';
import { parseKeyRing } from '../../shared/signature.ts';

const absent = async (): Promise<never> => {
  throw new HarnessError('not_ready', 'This server answers queries only.');
};

const keys = parseKeyRing(process.env.HARNESS_KEYS!);
const server = await listen({ host: '127.0.0.1', port: 0 });
const bundle = await loadBundle('models/default');
const encoder = await createEncoder({ bundle });
const live = new Live({ spaceId: encoder.spaceId });
const beganAt = performance.now();
await live.swap(await loadGeneration(process.env.HARNESS_BENCH_GENERATION!, { spaceId: encoder.spaceId }));
const loadSeconds = (performance.now() - beganAt) / 1_000;
const metrics = createMetrics();
const { calibration } = bundle.manifest;
const { retrieve } = createRetrieval({ encoder, live, calibration, newWords: await bundle.readNewWords() });
const mine = retrievalRoutes({ retrieve, headAds: absent, markets: () => DEFAULT_CONFIG.markets, metrics });
const others = BACKEND_ROUTES.map(
  ({ method, path, body }): Endpoint => ({ on: `${method} ${path}`, body, maxBytes: 0, handle: absent }),
).filter(({ on }) => !mine.some((endpoint) => endpoint.on === on));
const app = createApp({
  endpoints: [...mine, ...others],
  auth: createAuthenticator({ keys, now: Date.now }),
  apiKeys: createApiKeys([]),
  metrics,
  log: pino({ level: 'warn', base: null }),
  news: () => ({}),
});
server.serve(app);
serve({
  url: server.url,
  async stop() {
    const { rss, heapUsed } = process.memoryUsage();
    await server.close(500);
    await encoder.close();
    return { loadSeconds, rss, heapUsed };
  },
});
