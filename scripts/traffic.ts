/** `npm run traffic`: people who search and click, against the running system, or against one started for the purpose. */

import { exitWith } from '../gpu-backend/command-line.ts';
import { A_A, simulatePast } from '../marketplace/past.ts';
import { createTrafficCommand, type TrafficOrder } from '../marketplace/traffic.ts';
import type { TrafficSummary } from '../marketplace/traffic-counts.ts';
import { runTraffic } from '../marketplace/traffic-run.ts';
import type { EventBatchResult } from '../shared/contract/events.ts';
import { HarnessError } from '../shared/problem.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { type BackendClient, backendClient } from './backend-client.ts';
import { ENVIRONMENT } from './environment.ts';
import { readKeys } from './keys.ts';
import { serviceUrl } from './service-url.ts';
import { startSystem } from './system.ts';

const HOUR_MS = 3_600_000;

/** Where there is none, that is known at once; one that is there may be busy, and must not be taken for absent. */
const answers = (edgeUrl: string) =>
  fetch(`${edgeUrl}/healthz`, { signal: AbortSignal.timeout(30_000) }).then(
    ({ ok }) => ok,
    () => false,
  );

const LOCAL = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Traffic through the edge; throws `backend_unavailable` when not one search was answered. */
async function sendLive(order: TrafficOrder): Promise<TrafficSummary> {
  const summary = await runTraffic(order);
  if (summary.requests === 0 || summary.answers + summary.crawled > 0) return summary;
  const got = Object.entries(summary.refused).map(
    ([status, times]) =>
      `${status === '0' ? 'no answer' : `status ${status}`} ${times === 1 ? 'once' : `${times} times`}`,
  );
  throw new HarnessError(
    'backend_unavailable',
    `--edge: expected the edge at ${order.edge}, got ${got.join(', ')}; npm start says where it is.`,
  );
}

/** Sends the traffic through an edge that is there, with the backend behind it. */
async function send(order: TrafficOrder, backend: () => BackendClient): Promise<TrafficSummary> {
  if (order.aA) await backend()('PUT', `/v1/experiments/${A_A.key}`, A_A);
  if (order.past === undefined) return sendLive(order);
  return simulatePast({
    ...order,
    queries: order.queries!,
    days: order.past,
    // Whole hours, so that a second call within the hour makes the same events.
    untilMs: Math.floor(Date.now() / HOUR_MS) * HOUR_MS,
    experiment: A_A,
    async store(events) {
      const { rejected } = await backend()<EventBatchResult>('POST', '/v1/events', { events });
      if (rejected.length > 0)
        throw new HarnessError('bad_request', `The backend refused an event: ${rejected[0]!.reason}`);
    },
  });
}

const command = createTrafficCommand(async (order) => {
  const edge = serviceUrl('--edge', order.edge);
  const backend = serviceUrl('BACKEND_URL', ENVIRONMENT.backendUrl);
  if (!LOCAL.has(edge.hostname) || (await answers(edge.origin)))
    return send(order, () => backendClient(backend, parseKeyRing(readKeys(ENVIRONMENT.dataDir))));
  console.error(`No edge answers at ${edge.origin}: starting the system for the duration.`);
  const system = await startSystem({
    dataDir: ENVIRONMENT.dataDir,
    bundleDir: ENVIRONMENT.bundleDir,
    edgePort: Number(edge.port || 80),
    backendPort: Number(backend.port || 80),
    say: (line) => console.error(line),
  });
  try {
    return await send({ ...order, edge: system.edgeUrl }, () => system.backend);
  } finally {
    await system.stop();
  }
});

try {
  await command.name('npm run traffic --').parseAsync();
  process.exit();
} catch (error) {
  exitWith(error);
}
