/** What goes on beside the requests is begun, each in its time, and what fails is counted. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { sql } from 'drizzle-orm';
import { pino } from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startBackground } from '../../gpu-backend/background.ts';
import { rowOf } from '../../gpu-backend/catalogue/rows.ts';
import { parseConfig } from '../../gpu-backend/config.ts';
import { rows } from '../../gpu-backend/db/connect.ts';
import { ads, generations } from '../../gpu-backend/db/schema.ts';
import { createMetrics } from '../../gpu-backend/http/metrics.ts';
import { experimentOf, impressionOf, storeEvents, storeExperiment } from '../fixtures/experiment-traffic.ts';
import { openEmbeddedDatabase } from '../setup/databases.ts';
import { useDatabase } from '../setup/hooks.ts';
import { sampleAd } from '../setup/samples.ts';

const database = useDatabase(openEmbeddedDatabase);

/** Addresses of a webhook, and the checks that it was told of. */
async function webhook() {
  const checks: string[] = [];
  const server = createServer(async (request, response) => {
    checks.push(JSON.parse(await text(request)).check);
    response.writeHead(204).end();
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return { checks, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('rollups, alarms, removed ads, the canary, rebuilds and other backends, until they are told to end', async () => {
  const { db } = database;
  const hook = await webhook();
  const metrics = createMetrics();
  const [canary, rebuild, peers] = [{ run: vi.fn() }, vi.fn(), { news: vi.fn(), rest: vi.fn() }];
  for (const work of [rebuild, peers.news, peers.rest]) work.mockResolvedValue(undefined);
  canary.run.mockRejectedValue(new Error('no encoder'));
  const timers = vi.spyOn(globalThis, 'setTimeout').mockReturnValue({ unref() {} } as NodeJS.Timeout);
  const closers = startBackground({
    ...{ connection: { batch: db, kind: 'pglite' }, metrics, peers, rebuild, log: pino({ level: 'silent' }) },
    canary: { ...canary, observe: () => {}, stats: () => ({ recall: 1, queries: 0 }) },
    config: parseConfig({ HARNESS_KEYS: 'test:0123456789abcdef', HARNESS_ALERT_WEBHOOK: hook.url }),
  });
  const begun = timers.mock.calls.map(([work, ms]) => ({ work: work as () => void, ms: ms! }));
  timers.mockRestore();
  onTestFinished(() => Promise.all(closers.map((close) => close())).then(() => {}));
  const after = (ms: number) => begun.filter((each) => each.ms === ms).forEach(({ work }) => void work());

  await storeExperiment(db, experimentOf('test'));
  const unit = (i: number) => impressionOf({ id: `seen-${i}`, unit: `unit-${i}`, arm: 'control', experiment: 'test' });
  await storeEvents(
    db,
    Array.from({ length: 40 }, (_, i) => unit(i)),
  );
  after(5_000);
  const units = sql`select from experiment_units`;
  await vi.waitUntil(async () => (await rows(db, units)).length === 40, 60_000);

  const createdAt = new Date();
  const generation = { number: 1, status: 'live' as const, spaceId: '0', model: 'm', ads: 1, createdAt };
  await db.insert(generations).values({ ...generation, catalogueRevision: 1 });
  const deletedAt = new Date(Date.now() - 31 * 86_400_000);
  await db.insert(ads).values({ ...rowOf(sampleAd(), 1), deletedAt });
  after(600_000);
  await vi.waitUntil(async () => (await rows(db, sql`select from ads`)).length === 0, 60_000);

  after(1_000);
  after(200);
  for (const work of [rebuild, peers.news, peers.rest]) expect(work).toHaveBeenCalled();

  after(60_000);
  expect(canary.run).toHaveBeenCalled();
  await vi.waitUntil(() => hook.checks.includes('sample_ratio'), 60_000);
  const { text: told } = await metrics.render();
  for (const [name, failures] of Object.entries({ canary: 1, rollup: 0, purge: 0, alerts: 0, alert_delivery: 0 }))
    expect(told).toContain(`harness_${name}_failures_total ${failures}\n`);
});
