/** What a request leaves behind: nothing. What it kept until a full garbage collection would make every small one long, and the tail of the answers with it. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createApiKeys } from '../../../gpu-backend/http/api-keys.ts';
import { createApp } from '../../../gpu-backend/http/app.ts';
import { createAuthenticator } from '../../../gpu-backend/http/auth.ts';
import { createMetrics } from '../../../gpu-backend/http/metrics.ts';
import { operationsRoutes } from '../../../gpu-backend/http/routes-operations.ts';
import { keptBytes } from '../../fixtures/kept-bytes.ts';
import { absentEndpoints } from '../../setup/absent-endpoints.ts';

const metrics = createMetrics();
const app = createApp({
  endpoints: absentEndpoints(
    operationsRoutes({ version: 'test', health: () => ({}), notReady: () => undefined, metrics }),
  ),
  auth: createAuthenticator({ keys: [], now: Date.now }),
  apiKeys: createApiKeys([]),
  metrics,
  log: pino({ level: 'silent' }),
  news: () => ({}),
});

const request = async () => expect((await app.request('/healthz')).status).toBe(200);

test('a request is gone with the next small garbage collection', async () => {
  await keptBytes(1_000, request);
  expect(await keptBytes(4_000, request)).toBeLessThan(500);
});
