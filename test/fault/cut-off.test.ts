/**
 * Two backends on one real Postgres, behind an edge; one is cut off from it, and answers by what it knew. What is paused meanwhile is on
 * no page, however many generations the other publishes, and whichever of the two the edge asks.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { answerAds } from '../../edge/ads.ts';
import { createIsolate, type IsolateOptions } from '../../edge/isolate.ts';
import type { Backend } from '../../gpu-backend/main.ts';
import { AdsResponse } from '../../shared/contract/query-route.ts';
import type { RetrieveResponse } from '../../shared/contract/retrieve.ts';
import { call, loadTestMarket, makeFolders, retrieval, start, TEST_ADS, TEST_KEYS } from '../setup/backend.ts';
import { type MutableProxy, mutableProxy } from '../setup/mutable-proxy.ts';
import { type PostgresServer, startPostgresServer } from '../setup/postgres-server.ts';

/** Of the ads that a query finds alike the one that bids most: no page is without it. */
const [QUERY, AD] = ['sofa', TEST_ADS[5]!];
let server: PostgresServer;
let way: MutableProxy;
let there: Backend;
/** The one that is cut off. */
let cutOff: Backend;

beforeAll(async () => {
  server = await startPostgresServer();
});
afterAll(async () => {
  await server?.stop();
});
beforeEach(async () => {
  const [one, two] = await Promise.all([makeFolders(), makeFolders()]);
  const database = await server.createDatabase();
  way = await mutableProxy(database);
  const shared = { HARNESS_GENERATIONS: join(one.data, 'shared') };
  there = await start(one, { ...shared, DATABASE_URL: database });
  await loadTestMarket(there.url);
  cutOff = await start(two, { ...shared, DATABASE_URL: way.url });
  return async () => {
    await Promise.all([there.stop(), cutOff.stop()]);
    way.close();
    for (const each of [one, two]) each.remove();
  };
});

const pause = (id: string) => call(there.url, `PATCH /v1/ads/${id}`, { body: { status: 'paused' } });
const build = async () =>
  (await call<{ number: number }>(there.url, 'POST /v1/generations', { body: { action: 'build' } })).body.number;
const answered = async () =>
  (await call<RetrieveResponse>(cutOff.url, 'POST /v1/retrieve', { body: retrieval(QUERY) })).body;

/** No test hangs on how busy the machine is. */
const PATIENCE = 20_000;
const nowhere = { idFromName: () => '', get: () => ({ fetch: () => Promise.reject(new Error('nobody is there')) }) };

/** An edge whose isolate is asked again and again, each time a second later; with each generation it asks for a list anew. */
function edgeOver(variables: Record<string, string>, fetch?: IsolateOptions['fetch']) {
  let [laterMs, ids] = [0, 0];
  const work: Promise<unknown>[] = [];
  const bindings = {
    ...{ HARNESS_KEYS: TEST_KEYS, BACKEND_DEADLINE_MS: String(PATIENCE), HEDGE_SHARE: '1', ...variables },
    BACKEND_URL: variables.BACKEND_URL ?? there.url,
    EVENTS: { send: async () => undefined },
    OUTBOX: nowhere,
  };
  const isolate = createIsolate(bindings, {
    clock: {
      now: () => Date.now() + laterMs,
      elapsed: () => performance.now() + laterMs,
      newId: () => `${String(++ids).padStart(8, '0')}-0000-4000-8000-000000000000`,
      random: () => 0.5,
    },
    // What the test is about comes with the kill list: nobody waits for the configuration.
    waits: { configMs: 0, killListMs: PATIENCE, killListCallMs: PATIENCE },
    ...(fetch === undefined ? {} : { fetch }),
  });
  onTestFinished(async () => void (await Promise.allSettled(work)));
  return {
    async ads() {
      laterMs += 1_000;
      const url = `https://edge.example/v1/ads?q=${QUERY}`;
      const response = await answerAds(isolate, new Request(url), {
        requestId: isolate.clock.newId(),
        waitUntil: (each) => void work.push(each),
      });
      const { generation, rung, slots } = AdsResponse.parse(await response.json());
      return { generation, rung, ids: slots.map(({ adId }) => adId) };
    },
  };
}

test('an ad that is paused before others publish is on no page of candidates by one that is cut off', async () => {
  // As a balancer may: candidates are asked of the one that is cut off, all else of the other.
  const edge = edgeOver({}, (url, init) =>
    fetch(url.endsWith('/v1/retrieve') ? url.replace(there.url, cutOff.url) : url, init),
  );
  const before = await edge.ads();
  expect(before.ids).toContain(AD.id);
  way.mute();
  await pause(AD.id);
  expect((await edge.ads()).ids).not.toContain(AD.id);
  await build();
  // It knows nothing of that, and its candidates are shown but for this one.
  expect((await answered()).candidates.map(({ adId }) => adId)).toContain(AD.id);
  const after = await edge.ads();
  expect(after).toMatchObject({ generation: before.generation, rung: 'fresh' });
  expect(after.ids.length).toBeGreaterThan(0);
  expect(after.ids).not.toContain(AD.id);
  await build();
  expect((await answered()).generation).toBe(before.generation);
  const last = await edge.ads(); // empty, or of the head
  expect(last.generation).not.toBe(before.generation);
  expect(last.ids).not.toContain(AD.id);
});

test('nor where the edge asks that one first, and the other only where it fails', async () => {
  const edge = edgeOver({ BACKEND_URL: cutOff.url, BACKEND_SECOND_URL: there.url });
  const before = await edge.ads();
  expect(before.ids).toContain(AD.id);
  way.mute();
  await pause(AD.id);
  expect((await edge.ads()).ids).not.toContain(AD.id);
  await build();
  expect((await edge.ads()).ids).not.toContain(AD.id);
  const newest = await build();
  const after = await edge.ads();
  expect(after).toMatchObject({ generation: newest, rung: 'hedge' });
  expect(after.ids.length).toBeGreaterThan(0);
  expect(after.ids).not.toContain(AD.id);
});
