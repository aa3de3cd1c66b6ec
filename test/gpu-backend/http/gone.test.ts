/** A caller that hangs up while it is answered: it is counted and logged like any other, and is no error of ours. */
import { request } from 'node:http';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { createApiKeys } from '../../../gpu-backend/http/api-keys.ts';
import { createApp } from '../../../gpu-backend/http/app.ts';
import { createAuthenticator } from '../../../gpu-backend/http/auth.ts';
import { createMetrics } from '../../../gpu-backend/http/metrics.ts';
import { embeddingsRoutes } from '../../../gpu-backend/http/routes-embeddings.ts';
import { retrievalRoutes } from '../../../gpu-backend/http/routes-retrieval.ts';
import { listen } from '../../../gpu-backend/http/server.ts';
import { parseKeyRing, signRequest } from '../../../shared/signature.ts';
import { absentEndpoints } from '../../setup/absent-endpoints.ts';
import { retrieval, TEST_KEYS } from '../../setup/backend.ts';

const server = await listen({ host: '127.0.0.1', port: 0 });
afterAll(() => server.close(0));

const ring = parseKeyRing(TEST_KEYS);

test.each([
  ['/v1/embeddings', { input: 'red sofa' }],
  ['/v1/retrieve', retrieval('red sofa')],
])('a caller of %s that hangs up is let go of, counted and logged, not as an error of ours', async (path, asks) => {
  const [asked, logged] = [Promise.withResolvers<void>(), Promise.withResolvers<Record<string, unknown>>()];
  const metrics = createMetrics();
  const write = (line: string) => {
    const entry = JSON.parse(line);
    if (entry.msg === 'request') logged.resolve(entry);
  };
  /** Answers nobody, and ends when its caller goes. */
  const work = (_asked: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise<never>((_, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason));
      asked.resolve();
    });
  server.serve(
    createApp({
      endpoints: absentEndpoints([
        ...embeddingsRoutes({ encoder: { encode: work, model: 'tiny-1', dimension: 32, cutDimensions: [] } }),
        ...retrievalRoutes({ retrieve: work, headAds: () => expect.unreachable(), markets: () => ['us'], metrics }),
      ]),
      auth: createAuthenticator({ keys: ring, now: Date.now }),
      apiKeys: createApiKeys([]),
      metrics,
      log: pino({ level: 'debug' }, { write }),
      news: () => ({}),
    }),
  );
  const body = JSON.stringify(asks);
  const signed = await signRequest(ring, { method: 'POST', path, body }, { nowMs: Date.now(), nonce: `gone-${path}` });
  const call = request(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'of-the-edge', ...signed },
  });
  call.on('error', () => undefined); // the reset that it makes itself
  call.end(body);
  await asked.promise;
  call.destroy();
  expect(await logged.promise).toMatchObject({ requestId: 'of-the-edge', path, status: 504 });
  expect((await metrics.render()).text).toContain(
    `harness_http_requests_total{route="${path}",method="POST",status="504"} 1`,
  );
});
