/** What a request leaves behind: nothing. What it kept until a full garbage collection would make every small one long, and the tail of the answers with it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createApiKeys } from '../../../gpu-backend/http/api-keys.ts';
import { createApp } from '../../../gpu-backend/http/app.ts';
import { createAuthenticator } from '../../../gpu-backend/http/auth.ts';
import { createMetrics } from '../../../gpu-backend/http/metrics.ts';
import { operationsRoutes } from '../../../gpu-backend/http/routes-operations.ts';
import { absentEndpoints } from '../../setup/absent-endpoints.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { type: 'major' | 'minor' }) => void;

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

/** Bytes that are kept by `requests` of them, after small collections alone. */
async function kept(requests: number): Promise<number> {
  collect({ type: 'major' });
  const before = process.memoryUsage().heapUsed;
  for (let n = 1; n <= requests; n++) {
    expect((await app.request('/healthz')).status).toBe(200);
    if (n % 500 === 0) collect({ type: 'minor' });
  }
  // What lives through two of them is old.
  for (const type of ['minor', 'minor'] as const) collect({ type });
  return process.memoryUsage().heapUsed - before;
}

test('a request is gone with the next small garbage collection', async () => {
  await kept(1_000);
  expect((await kept(4_000)) / 4_000).toBeLessThan(500);
});
