/** One request through the real Worker and a real backend process is one connected trace at a collector, and in the log. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startEdge } from '../../scripts/edge-local.ts';
import {
  backendEnvironment,
  call,
  loadTestMarket,
  makeFolders,
  TEST_KEYS,
  type TestFolders,
} from '../setup/backend.ts';
import { freePort } from '../setup/free-port.ts';
import { until } from '../setup/killed-ingest.ts';

interface OtlpSpan {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  attributes: { key: string; value: { stringValue?: string } }[];
}

let folders: TestFolders;
beforeAll(async () => {
  folders = await makeFolders();
});
afterAll(() => folders?.remove());

/** A collector: OTLP over HTTP in JSON. */
async function collector() {
  const spans: OtlpSpan[] = [];
  const services = new Set<string>();
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    const { resourceSpans } = JSON.parse(body) as {
      resourceSpans: { resource: OtlpSpan; scopeSpans: { spans: OtlpSpan[] }[] }[];
    };
    for (const { resource, scopeSpans } of resourceSpans) {
      services.add(resource.attributes.find(({ key }) => key === 'service.name')!.value.stringValue!);
      spans.push(...scopeSpans.flatMap((scope) => scope.spans));
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { spans, services, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('edge, backend, encoder and index are in one trace; the log names it; no span has the text of a query', async () => {
  const { spans, services, url: endpoint } = await collector();
  const port = await freePort();
  const environment = backendEnvironment(folders, {
    PORT: String(port),
    LOG_LEVEL: 'debug',
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    // Only what the caller traces, and what it does not by this share.
    OTEL_TRACES_SAMPLER_ARG: '1',
  });
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'gpu-backend/main.ts'], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let log = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const backendUrl = `http://127.0.0.1:${port}`;
  await until(async () => (await call(backendUrl, 'GET /v1/config')).status === 200);
  await loadTestMarket(backendUrl);
  // On a busy machine too the backend is asked, once, and answers.
  const vars = { BACKEND_DEADLINE_MS: '20000', HEDGE_SHARE: '0' };
  const edge = await startEdge({ port: await freePort(), backendUrl, keys: TEST_KEYS, vars });
  const requestIds: string[] = [];
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  try {
    // Each visitor is new, and half of them get vectors: one is certain to.
    for (let i = 0; i < 24; i++) {
      const response = await fetch(`${edge.url}/v1/ads?q=red+sofa+${i}`);
      requestIds.push(((await response.json()) as { requestId: string }).requestId);
    }
    const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
    await (await fetch(`${edge.url}/v1/ads?q=green+bike`, { headers: { traceparent } })).text();
  } finally {
    await edge.stop(60_000);
  }
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await gone).toEqual([0, null]);

  expect([...services]).toEqual(['harness-backend']);
  const nameOf = (id: string | undefined) => spans.find(({ spanId }) => spanId === id)?.name;
  const traceOf = (id: string) => spans.filter((span) => span.traceId === id);
  const root = (id: string) => traceOf(id).find(({ name }) => name === 'POST /v1/retrieve');
  // A trace that came from outside goes on; the edge's own has the request's id.
  expect(root(traceId)).toBeDefined();
  for (const id of requestIds) expect(root(id.replaceAll('-', '')), id).toBeDefined();
  expect(root(traceId)!.parentSpanId).toMatch(/^[0-9a-f]{16}$/);
  expect(root(traceId)!.parentSpanId).not.toBe('00f067aa0ba902b7'); // the edge's, not the visitor's

  const encoded = requestIds
    .map((id) => traceOf(id.replaceAll('-', '')))
    .find((trace) => trace.some(({ name }) => name === 'encode'))!;
  const tree = encoded.map(({ name, parentSpanId }) => `${name} < ${nameOf(parentSpanId) ?? 'edge'}`);
  expect([...new Set(tree)].sort()).toEqual([
    'POST /v1/retrieve < edge',
    'dense.exact < POST /v1/retrieve',
    'dense.index < POST /v1/retrieve',
    'encode < POST /v1/retrieve',
    'encoder.queue < encode',
    'encoder.run < encode',
    'fuse < POST /v1/retrieve',
    'keyword < POST /v1/retrieve',
    'lexical < POST /v1/retrieve',
  ]);
  expect(
    spans.some(({ name, parentSpanId }) => name === 'database' && nameOf(parentSpanId) === 'POST /v1/events'),
  ).toBe(true);
  expect(JSON.stringify(spans)).not.toMatch(/sofa|bike/);
  const lines = log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.find((line) => line.traceId === traceId && line.path === '/v1/retrieve')).toMatchObject({
    requestId: expect.any(String),
    status: 200,
  });
});
