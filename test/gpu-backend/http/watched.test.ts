/** A running service tells what it does: each request in metrics and log of candidates, the age of its generation, the recall of its index. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Backend } from '../../../gpu-backend/main.ts';
import type { Generation } from '../../../shared/contract/generations.ts';
import { call, loadTestMarket, makeFolders, retrieval, start, type TestFolders } from '../../setup/backend.ts';

let folders: TestFolders;
let backend: Backend;
/** What was to be done after a minute. */
const minutely: (() => void)[] = [];
beforeAll(async () => {
  folders = await makeFolders();
  const { setTimeout: wait } = globalThis;
  const timers = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((work: () => void, ms?: number) => {
    if (ms === 60_000) minutely.push(work);
    return wait(work, ms);
  }) as typeof wait);
  backend = await start(folders, { HARNESS_CANDIDATE_SAMPLING: '1' });
  timers.mockRestore();
  await loadTestMarket(backend.url);
});
afterAll(async () => {
  await backend?.stop();
  folders?.remove();
});

const QUERIES = ['red sofa', 'green car', 'cheap lamp'];
const metric = async (name: string) => {
  const { body } = await call<string>(backend.url, 'GET /metrics', { unsigned: true });
  return Number(
    body
      .split('\n')
      .find((line) => line.startsWith(`harness_${name} `))
      ?.split(' ')[1],
  );
};

test('of every request there is a count and a time, by route and status, also of those that are refused', async () => {
  for (const query of QUERIES) await call(backend.url, 'POST /v1/retrieve', { body: retrieval(query) });
  await call(backend.url, 'POST /v1/retrieve', { body: {} });
  await call(backend.url, 'GET /nowhere', { unsigned: true });
  const route = 'route="/v1/retrieve",method="POST"';
  expect(await metric(`http_requests_total{${route},status="200"}`)).toBe(3);
  expect(await metric(`http_requests_total{${route},status="400"}`)).toBe(1);
  expect(await metric(`http_request_seconds_count{${route}}`)).toBe(4);
  expect(await metric(`http_request_seconds_sum{${route}}`)).toBeGreaterThan(0);
  expect(await metric('http_requests_total{route="unmatched",method="GET",status="404"}')).toBe(1);
  for (const part of ['total', 'encode', 'search'])
    expect(await metric(`retrieval_seconds_count{part="${part}"}`)).toBe(3);
});

test('of every answer there is a row with all that was considered, by whom each was found and with which score', async () => {
  const path = join(folders.data, 'candidates', 'candidates-1.jsonl');
  await vi.waitUntil(async () => existsSync(path) && (await metric('candidates_logged_total')) === 3, 60_000);
  const rows = readFileSync(path, 'utf8').trim().split('\n');
  expect(rows.map((row) => JSON.parse(row).query)).toEqual(QUERIES);
  const { propensity, ads } = JSON.parse(rows[0]!);
  expect(propensity).toBe(1);
  expect(ads[0]).toMatchObject({ adId: 'ad-0-0', returned: true, relevance: expect.any(Number) });
  expect(ads[0].sources).toContainEqual({ retriever: 'dense', rank: 1, score: expect.any(Number) });
});

test('the recall of the index on these queries is measured within the minute', async () => {
  expect(await metric('recall_canary_queries_total')).toBe(0);
  expect(minutely).not.toEqual([]);
  for (const work of minutely) work();
  await vi.waitUntil(async () => (await metric('recall_canary_queries_total')) === 3, 60_000);
  expect(await metric('recall_canary')).toBe(1);
});

test('the age of the generation is counted from its snapshot', async () => {
  const { body } = await call<{ generations: Generation[] }>(backend.url, 'GET /v1/generations');
  const createdAtMs = Date.parse(body.generations.at(-1)!.createdAt);
  const from = Date.now();
  const age = await metric('generation_age_seconds');
  expect(age).toBeGreaterThanOrEqual((from - createdAtMs) / 1_000);
  expect(age).toBeLessThanOrEqual((Date.now() - createdAtMs) / 1_000);
});
