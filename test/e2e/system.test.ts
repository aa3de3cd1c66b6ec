/**
 * The whole house as `npm start` runs it, on the bundled market and student: queries, arms, takedown, clicks, live traffic
 * with a backend that dies, and books that balance at the end.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { tenSynonyms } from '../../bench/quality.ts';
import { createMarket, MARKET_SEED, type Market } from '../../marketplace/market.ts';
import { runTraffic } from '../../marketplace/traffic-run.ts';
import { type System, startSystem } from '../../scripts/system.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import type { ExperimentReport } from '../../shared/contract/experiments.ts';
import type { AdsResponse } from '../../shared/contract/query-route.ts';
import { DEFAULT_EXPERIMENT } from '../../shared/defaults.ts';
import { freePort } from '../setup/free-port.ts';
import { LOOKS, launchBrowser, newPage, noBrowserReason } from './browser.ts';
import { type Visitor, visitorIn } from './jar.ts';

let system: System;
let market: Market;
const dataDir = mkdtempSync(join(tmpdir(), 'harness-e2e-'));
const lines: string[] = [];
/** Ids of every answer that anybody in this file got, and of those that an experiment counts. */
const answered = new Set<string>();
const exposed = new Set<string>();
let visitors: { control: Visitor; treatment: Visitor };

const remember = (answer: AdsResponse) => {
  answered.add(answer.requestId);
  if (answer.assignments.length > 0) exposed.add(answer.requestId);
  return answer;
};
const search = async (who: Visitor, query: string, parameters: Record<string, string> = {}) =>
  remember(await who.search(query, parameters));
/** As soon as it holds; how soon that is, test/fault/takedown.test.ts says. */
const EVENTUALLY = { timeout: 60_000, interval: 200 };
const report = () => system.backend<ExperimentReport>('GET', `/v1/experiments/${DEFAULT_EXPERIMENT}/report`);

/** Starts the house over this file's data folder, on ports of its own. */
async function start(): Promise<System> {
  return startSystem({
    dataDir,
    bundleDir: 'models/default',
    edgePort: await freePort(),
    backendPort: await freePort(),
    // What is looked at is what answers say, not how long they take on a busy machine.
    edgeVars: { BACKEND_DEADLINE_MS: '10000', EVENT_DEADLINE_MS: '10000' },
    say: (line) => lines.push(line),
  });
}

beforeAll(async () => {
  vi.stubEnv('HOST', '192.0.2.1'); // some shells set it; the house is on this machine all the same
  market = createMarket({ seed: MARKET_SEED });
  system = await start();
  visitors = {
    control: await visitorIn('control', system.edgeUrl, remember),
    treatment: await visitorIn('treatment', system.edgeUrl, remember),
  };
});

afterAll(async () => {
  await system?.stop();
  rmSync(dataDir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

describe('a query', () => {
  test('gets relevant ads in both arms, from the backend first and from memory then', async () => {
    for (const arm of ['control', 'treatment'] as const) {
      const query = market.queries.test.find(({ kind, market: where }) => kind === 'plural' && where === 'us')!;
      const first = await search(visitors[arm], query.text, { market: 'us' });
      expect(first.assignments).toEqual([{ experiment: DEFAULT_EXPERIMENT, layer: 'retrieval', arm }]);
      expect(first.degraded).toBeUndefined();
      expect(first.slots.map(({ position }) => position)).toEqual(first.slots.map((_, i) => i + 1));
      expect(market.grade(query, first.slots[0]!.adId)).toBeGreaterThanOrEqual(2);
      const again = await search(visitors[arm], `  ${query.text.toUpperCase()} `, { market: 'us' });
      expect(again.cache.status).toBe('memory');
      expect(again.slots.map(({ adId }) => adId)).toEqual(first.slots.map(({ adId }) => adId));
    }
  });

  test('reads a synonym that no relevant ad contains in the treatment arm only', async () => {
    const ten = tenSynonyms(market);
    const relevant = { control: 0, treatment: 0 };
    for (const query of ten) {
      for (const arm of ['control', 'treatment'] as const) {
        const { slots } = await search(visitors[arm], query.text, { market: query.market });
        if (slots[0] !== undefined && market.grade(query, slots[0].adId) >= 2) relevant[arm]++;
      }
    }
    expect(relevant.control).toBe(0);
    expect(relevant.treatment).toBeGreaterThanOrEqual(7);
  });
});

test('a paused ad leaves every answer, cached ones too, and comes back when it is active again', async () => {
  const shown = async () => (await search(visitors.treatment, 'sofa')).slots.map(({ adId }) => adId);
  const [first] = await shown();
  expect(await shown()).toContain(first); // now it is cached
  await system.backend<Ad>('PATCH', `/v1/ads/${first}`, { status: 'paused' });
  await vi.waitFor(async () => expect(await shown()).not.toContain(first), EVENTUALLY);
  await system.backend<Ad>('PATCH', `/v1/ads/${first}`, { status: 'active' });
  await vi.waitFor(async () => expect(await shown()).toContain(first), EVENTUALLY);
});

test('a new ad is found at once, before any new generation', async () => {
  const ad: Ad = {
    id: 'e2e-new',
    advertiserId: 'e2e',
    campaignId: 'e2e',
    title: 'Quokka Plush Toy',
    description: 'A soft quokka for children.',
    displayUrl: 'quokka.example',
    landingUrl: 'https://quokka.example/plush',
    keywords: [{ text: 'quokka', match: 'broad' }],
    markets: ['us'],
    bidMicros: 900_000,
    dailyBudgetMicros: 10_000_000,
    status: 'active',
  };
  await system.backend('PUT', `/v1/ads/${ad.id}`, ad);
  const found = async (who: Visitor) =>
    (await search(who, 'quokka plush', { market: 'us' })).slots.map(({ adId }) => adId);
  expect((await found(visitors.control))[0]).toBe(ad.id);
  // The student also finds plush by the yard: who is first there is for the auction to say.
  expect(await found(visitors.treatment)).toContain(ad.id);
});

test('a click leads to the ad and back to a conversion', async () => {
  const { slots } = await search(visitors.treatment, 'umbrella');
  const click = await fetch(slots[0]!.clickUrl, { redirect: 'manual' });
  expect(click.status).toBe(302);
  const landing = new URL(click.headers.get('location')!);
  expect(landing.hostname).toMatch(/\.example$/);
  const conversion = await fetch(`${system.edgeUrl}/v1/conversions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ clickId: landing.searchParams.get('hclid'), orderId: 'order-1', valueMicros: 5_000_000 }),
  });
  expect(conversion.status).toBe(202);
});

const reason = noBrowserReason();
describe.skipIf(reason !== undefined)(`pages in a browser${reason === undefined ? '' : ` (${reason})`}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  test.each(Object.entries(LOOKS))('the playground searches and says what happened (%s)', async (_, look) => {
    const { page, context, faults } = await newPage(browser, look);
    await page.goto(system.edgeUrl);
    await page.getByRole('searchbox').fill('umbrella');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByText(/^\d ads? for/).waitFor();
    expect(await page.getByText(/umbrella/i).count()).toBeGreaterThan(1);
    expect(await page.getByText(/treatment|control/).count()).toBeGreaterThan(0);
    const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
    expect(faults).toEqual([]);
    await context.close();
  });

  test('the dashboard draws the experiment that the traffic is in', async () => {
    const { page, context, faults } = await newPage(browser, LOOKS.phone!);
    await page.goto(`${system.backendUrl}/dashboard`);
    expect(await page.getByRole('heading', { name: DEFAULT_EXPERIMENT }).count()).toBe(1);
    expect(await page.locator('svg').count()).toBeGreaterThan(0);
    expect(faults).toEqual([]);
    await context.close();
  });
});

test('live traffic while the backend is killed: every search is answered, and every impression and click is stored once', async () => {
  let killed = false;
  let degraded = 0;
  const sent = await runTraffic({
    edge: system.edgeUrl,
    queries: 1_500,
    market,
    onAnswer: (answer) => {
      answered.add(answer.requestId);
      if (answer.degraded !== undefined) degraded++;
      if (!killed && answered.size > 500) {
        killed = true;
        process.kill(system.pids().backend, 'SIGKILL');
      }
    },
  });
  expect(killed).toBe(true);
  expect(Object.values(sent.refused)).toEqual([]);
  expect(lines.join('\n')).toContain('starting it again');
  // Pages from the head, shown while the backend was away, are stored but count for no arm.
  const { '-': outside, ...arms } = sent.arms;
  const inArms = (count: 'answers' | 'clicks') => Object.values(arms).reduce((sum, arm) => sum + arm[count], 0);
  const queries = exposed.size + inArms('answers');
  // The queue delivers what it holds once the backend is back.
  await vi.waitFor(
    async () => {
      const { arms: counted, metrics } = await report();
      expect(counted.reduce((sum, arm) => sum + arm.queries, 0)).toBe(queries);
      const ids = [...answered];
      expect(await system.backend('POST', '/v1/events:reconcile', { ids })).toEqual({ missing: [] });
      const clicks = metrics.find(({ metric }) => metric === 'clicks')!;
      expect(clicks.arms.reduce((sum, { total }) => sum + total, 0)).toBe(inArms('clicks') + 1);
    },
    { timeout: 180_000, interval: 500 },
  );
  console.log(
    `while the backend was away: ${degraded} degraded answers of ${sent.requests}, ${outside?.answers ?? 0} from the head`,
  );
}, 600_000);

test('a second start is quick to answer and remembers everything; a stop leaves no process behind', async () => {
  const before = await report();
  const pids = Object.values(system.pids());
  const { undelivered } = await system.stop();
  expect(undelivered).toBe(0);
  const running = execFileSync('ps', ['-eo', 'pid='], { encoding: 'utf8' }).split('\n').map(Number);
  for (const pid of pids) expect(running).not.toContain(pid);

  system = await start();
  expect(await report()).toEqual(before);
  const who = await visitorIn('treatment', system.edgeUrl);
  expect((await who.search('sofa')).slots.length).toBeGreaterThan(0);
});
