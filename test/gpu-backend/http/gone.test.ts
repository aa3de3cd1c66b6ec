/** A caller that hangs up while it is answered: it is counted and logged like any other, and is no error of ours. */
import { request } from 'node:http';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { createApiKeys } from '../../../gpu-backend/http/api-keys.ts';
import { createApp } from '../../../gpu-backend/http/app.ts';
import { createAuthenticator } from '../../../gpu-backend/http/auth.ts';
import { createMetrics } from '../../../gpu-backend/http/metrics.ts';
import { embeddingsRoutes } from '../../../gpu-backend/http/routes-embeddings.ts';
import { listen } from '../../../gpu-backend/http/server.ts';
import { absentEndpoints } from '../../setup/absent-endpoints.ts';

const server = await listen({ host: '127.0.0.1', port: 0 });
afterAll(() => server.close(0));

test('a caller that hangs up is counted and logged, not as an error of ours', async () => {
  const [asked, logged] = [Promise.withResolvers<void>(), Promise.withResolvers<Record<string, unknown>>()];
  const metrics = createMetrics();
  const write = (line: string) => {
    const entry = JSON.parse(line);
    if (entry.msg === 'request') logged.resolve(entry);
  };
  const encode = (_texts: readonly string[], { signal }: { signal?: AbortSignal } = {}) =>
    new Promise<never>((_, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason));
      asked.resolve();
    });
  server.serve(
    createApp({
      endpoints: absentEndpoints(
        embeddingsRoutes({ encoder: { encode, model: 'tiny-1', dimension: 32, cutDimensions: [] } }),
      ),
      auth: createAuthenticator({ keys: [], now: Date.now }),
      apiKeys: createApiKeys([{ id: 'shop', secret: 'sk-0123456789abcdef' }]),
      metrics,
      log: pino({ level: 'debug' }, { write }),
      news: () => ({}),
    }),
  );
  const call = request(`${server.url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-0123456789abcdef' },
  });
  call.on('error', () => undefined); // the reset that it makes itself
  call.end('{"input":"red sofa"}');
  await asked.promise;
  call.destroy();
  expect(await logged.promise).toMatchObject({ path: '/v1/embeddings', status: 504 });
  expect((await metrics.render()).text).toContain(
    'harness_http_requests_total{route="/v1/embeddings",method="POST",status="504"} 1',
  );
});
