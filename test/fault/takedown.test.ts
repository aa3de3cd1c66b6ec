/**
 * The drill: an ad is taken down, or an experiment stopped, through the backend's API while a query is answered from memory,
 * over the real backend and the Worker's own bundle in workerd. It measures when the last answer began that still held it.
 */
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../gpu-backend/main.ts';
import { type RunningEdge, startEdge } from '../../scripts/edge-local.ts';
import type { AdsResponse } from '../../shared/contract/query-route.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../../shared/defaults.ts';
import { type Visitor, visitor } from '../e2e/jar.ts';
import { call, loadTestMarket, makeFolders, start, TEST_ADS, TEST_KEYS, type TestFolders } from '../setup/backend.ts';
import { freePort } from '../setup/free-port.ts';
import { clickOnBothDays, sampleAd } from '../setup/samples.ts';

const BOUND_MS = 1_000;
/** So long nothing here takes by itself: the machine stood still, and with it perhaps the backend, without which no second is promised. */
const STANDSTILL_MS = 250;
/** Answers late enough to be looked at. */
const LATE = 40;
/** Of the requests, so that they stay below the rate limit. */
const PACE_MS = 25;

let folders: TestFolders;
let backend: Backend;
let edge: RunningEdge;
let who: Visitor;
beforeAll(async () => {
  folders = await makeFolders();
  backend = await start(folders);
  await loadTestMarket(backend.url);
  const shoes = TEST_ADS.filter(({ title }) => title.endsWith('shoe')).map(({ id }) =>
    patch(id, { policyFlags: ['footwear'] }),
  );
  expect((await Promise.all(shoes)).map(({ status }) => status)).toEqual(shoes.map(() => 200));
  // What is measured is how long an answer holds what is gone, not how long the backend takes on a busy machine.
  const vars = { BACKEND_DEADLINE_MS: '20000' };
  edge = await startEdge({ port: await freePort(), backendUrl: backend.url, keys: TEST_KEYS, vars });
  who = visitor(edge.url);
});
afterAll(async () => {
  await edge?.stop();
  await backend?.stop();
  folders?.remove();
});

const patch = (id: string, body: unknown) => call(backend.url, `PATCH /v1/ads/${id}`, { body });
const spendAll = (id: string) =>
  call(backend.url, 'POST /v1/events', {
    body: { events: clickOnBothDays({ adId: id, chargeMicros: sampleAd().dailyBudgetMicros }) },
  });

const forbid = () => call(backend.url, 'PUT /v1/policies/footwear', { body: { id: 'footwear', blockedIn: ['us'] } });

const stop = async () => {
  const body = { ...DEFAULT_CONFIG.experiments[0]!, status: 'stopped' };
  return call(backend.url, `PUT /v1/experiments/${DEFAULT_EXPERIMENT}`, { body });
};
const showsAd = ({ slots }: AdsResponse, adId: string) => slots.some((slot) => slot.adId === adId);
const assigns = ({ assignments }: AdsResponse) => assignments.length > 0;

test.each([
  ['a paused ad', 'sofa', showsAd, (id: string) => patch(id, { status: 'paused' })],
  ['a blocked ad', 'lamp', showsAd, (id: string) => patch(id, { status: 'blocked' })],
  ['an ad out of budget', 'bike', showsAd, spendAll],
  ['an ad whose flag a rule blocks', 'shoe', showsAd, forbid],
  ['a stopped experiment', 'car', assigns, stop],
])('%s: no answer that begins a second after the acknowledgement holds it', async (_, query, isIn, takeDown) => {
  const answers: { beganMs: number; holds: boolean; from: string; late: boolean }[] = [];
  const { adId } = (await who.search(query)).slots[0]!;
  /** The acknowledgement, or the end of the last standstill after it. */
  let sinceMs = Number.POSITIVE_INFINITY;
  const ask = async () => {
    const beganMs = performance.now();
    const stoodStill = beganMs - (answers.at(-1)?.beganMs ?? beganMs) > STANDSTILL_MS;
    if (stoodStill && sinceMs < beganMs) sinceMs = beganMs;
    const answer = await who.search(query);
    answers.push({ beganMs, holds: isIn(answer, adId), from: answer.cache.status, late: beganMs > sinceMs + BOUND_MS });
    await setTimeout(PACE_MS);
  };
  await ask();
  expect(answers[0]).toMatchObject({ holds: true, from: 'memory' });
  let acknowledgedMs = Number.POSITIVE_INFINITY;
  const acknowledged = takeDown(adId).then(({ status }) => {
    acknowledgedMs = performance.now();
    sinceMs = acknowledgedMs;
    expect(status).toBe(200);
  });
  while (answers.filter(({ late }) => late).length < LATE) await ask();
  await acknowledged;
  const late = answers.filter((answer) => answer.late);
  expect(late.map(({ from }) => from)).toContain('memory');
  expect(late.filter(({ holds }) => holds)).toEqual([]);
  const last = answers.filter(({ holds }) => holds).at(-1)!.beganMs - acknowledgedMs;
  console.log(
    `${answers.length} answers; the last that held it began ${Math.round(last)} ms after the acknowledgement`,
  );
});

test('nor does the first answer of an edge that was asked nothing meanwhile', async () => {
  for (;;) {
    const beganMs = performance.now();
    const { adId } = (await who.search('cup')).slots[0]!;
    await patch(adId, { status: 'paused' });
    await setTimeout(BOUND_MS);
    const { slots, cache } = await who.search('cup');
    expect(cache.status).toBe('memory');
    if (performance.now() - beganMs <= BOUND_MS + STANDSTILL_MS) {
      expect(slots.map((slot) => slot.adId)).not.toContain(adId);
      return;
    }
    await patch(adId, { status: 'active' });
  }
});
