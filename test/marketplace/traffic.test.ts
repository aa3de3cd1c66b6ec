import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { formatSummary } from '../../marketplace/summary-table.ts';
import { createTrafficCommand } from '../../marketplace/traffic.ts';
import { logLine, parseLog, replayed } from '../../marketplace/traffic-log.ts';
import { runTraffic, type TrafficOptions } from '../../marketplace/traffic-run.ts';
import { ConversionRequest } from '../../shared/contract/events.ts';
import type { AdsResponse } from '../../shared/contract/query-route.ts';
import { DEFAULT_EXPERIMENT } from '../../shared/defaults.ts';
import { tinyMarket } from '../fixtures/tiny-market.ts';

/** The edge's side of the contract, in memory, with a log of what came in. */
function standInEdge({ failEvery = 0 } = {}) {
  const market = tinyMarket();
  const log = {
    units: new Map<string, number>(),
    requestIds: [] as string[],
    agents: [] as string[],
    texts: [] as string[],
    clicks: [] as string[],
    orders: [] as string[],
  };
  let served = 0;
  let overlapping = 0;
  const open = new Set<string>();
  const app = new Hono()
    .get('/healthz', (c) => c.json({ status: 'ok' }))
    .get('/v1/ads', async (c) => {
      const turn = ++served;
      if (failEvery > 0 && turn % failEvery === 0) return c.json({ code: 'backend_unavailable' }, 503);
      log.agents.push(c.req.header('user-agent')!);
      log.texts.push(`${c.req.query('market')} ${c.req.query('q')}`);
      const known = /unit=([^;]+)/.exec(c.req.header('cookie') ?? '')?.[1];
      const unit = known ?? `u${turn}`;
      if (open.has(unit)) overlapping++;
      open.add(unit);
      await Promise.resolve();
      open.delete(unit);
      log.units.set(unit, (log.units.get(unit) ?? 0) + 1);
      const query = market.queries.train.find(({ text }) => text === c.req.query('q'))!;
      const requestId = `request-${turn}`;
      log.requestIds.push(requestId);
      const good = Number(unit.slice(1)) % 2 === 0;
      const ads = good ? [`ad-${query.conceptId}`, 'ad-other'] : ['ad-other', `ad-${query.conceptId}`];
      if (!known) c.header('set-cookie', `unit=${unit}; Path=/; HttpOnly`);
      return c.json({
        requestId,
        query: { raw: query.text, normalized: query.text },
        assignments: [{ experiment: DEFAULT_EXPERIMENT, layer: 'retrieval', arm: good ? 'treatment' : 'control' }],
        cache: { status: 'miss', ageMs: 0 },
        rung: 'fresh',
        generation: 1,
        model: null,
        slots: ads.map((adId, i) => ({
          position: i + 1,
          adId,
          title: adId,
          description: '',
          displayUrl: 'shop.example',
          clickUrl: `/v1/click/${requestId}.${i + 1}`,
        })),
        timings: { totalMs: 1, backendMs: 1, encodeMs: 0, searchMs: 0 },
      } satisfies AdsResponse);
    })
    .get('/v1/click/:token', (c) => {
      log.clicks.push(c.req.param('token'));
      return c.redirect(`https://shop.example/?hclid=click-${c.req.param('token')}`, 302);
    })
    .post('/v1/conversions', async (c) => {
      const { orderId } = ConversionRequest.parse(await c.req.json());
      log.orders.push(orderId);
      return c.json({ id: orderId }, 202);
    });
  const doFetch: typeof fetch = async (input, init) => app.request(new Request(input as URL, init));
  return { market, log, fetch: doFetch, overlapping: () => overlapping };
}

const edge = 'http://edge.example';
/** What people do depends on the hour: no test is to depend on when it runs. */
const nowMs = Date.UTC(2026, 5, 15, 12);

describe('runTraffic', () => {
  it('counts exactly what the edge saw, in all and by arm', async () => {
    const stand = standInEdge();
    const ids: string[] = [];
    const summary = await runTraffic({
      edge,
      nowMs,
      queries: 1_000,
      users: 100,
      market: stand.market,
      fetch: stand.fetch,
      onAnswer: ({ requestId }) => ids.push(requestId),
    });
    expect(summary).toMatchObject({ requests: 1_000, answers: 1_000, adsShown: 2_000, refused: {}, refusedClicks: 0 });
    expect(ids.sort()).toEqual(stand.log.requestIds.sort());
    // Some click twice; it is one click.
    expect(summary.clicks).toBe(new Set(stand.log.clicks).size);
    expect(summary.clicks).toBeLessThan(stand.log.clicks.length);
    expect(summary.conversions).toBe(stand.log.orders.length);
    expect(summary.conversions).toBeGreaterThan(0);
    const { control, treatment } = summary.arms;
    expect(control!.answers + treatment!.answers).toBe(1_000);
    expect(control!.clicks + treatment!.clicks).toBe(summary.clicks);
    expect(summary.relevantShown).toBe(1_000);
    // The treatment of the stand-in shows the relevant ad on top.
    expect(treatment!.clicks / treatment!.answers).toBeGreaterThan(control!.clicks / control!.answers);
  });

  it('is one unit a person, and a person makes one search at a time', async () => {
    const stand = standInEdge();
    const summary = await runTraffic({
      edge,
      nowMs,
      queries: 500,
      users: 20,
      concurrency: 50,
      market: stand.market,
      fetch: stand.fetch,
    });
    expect(stand.log.units.size).toBe(summary.users);
    expect(summary.users).toBeLessThanOrEqual(20);
    expect(stand.overlapping()).toBe(0);
  });

  it('counts refusals by status and goes on', async () => {
    const stand = standInEdge({ failEvery: 10 });
    const summary = await runTraffic({
      edge,
      nowMs,
      queries: 500,
      users: 50,
      market: stand.market,
      fetch: stand.fetch,
    });
    expect(summary.refused).toEqual({ 503: 50 });
    expect(summary.answers).toBe(450);
    expect(formatSummary(summary)).toContain('503: 50');
  });

  it('counts connections that break', async () => {
    const stand = standInEdge();
    const breaking: typeof fetch = async (input, init) => {
      if (String(input).includes('/v1/ads')) throw new TypeError('fetch failed');
      return stand.fetch(input, init);
    };
    const summary = await runTraffic({ edge, queries: 20, market: stand.market, fetch: breaking });
    expect(summary.refused).toEqual({ 0: 20 });
  });

  it('counts answers that break off, and refuses what is no answer of an edge', async () => {
    const stand = standInEdge();
    const answering =
      (body: () => string | ReadableStream): typeof fetch =>
      async (input, init) =>
        String(input).includes('/v1/ads') ? new Response(body()) : stand.fetch(input, init);
    const send = (body: () => string | ReadableStream) =>
      runTraffic({ edge, nowMs, queries: 5, market: stand.market, fetch: answering(body) });
    const breaksOff = () => new ReadableStream({ start: (body) => body.error(new TypeError('terminated')) });
    expect((await send(breaksOff)).refused).toEqual({ 0: 5 });
    await expect(send(() => '<!DOCTYPE html>')).rejects.toThrow(
      'GET /v1/ads: expected the edge at http://edge.example, got no JSON.',
    );
    await expect(send(() => '{}')).rejects.toThrow(/^GET \/v1\/ads\.requestId: /);
  });

  it('says in one line what to do when no edge answers', async () => {
    const nobody: typeof fetch = () => Promise.reject(new TypeError('fetch failed'));
    await expect(runTraffic({ edge, queries: 1, market: tinyMarket(), fetch: nobody })).rejects.toThrow(
      'No edge answers at http://edge.example: run `npm start` first.',
    );
  });

  const run = async (options: Partial<TrafficOptions> = {}) => {
    const stand = standInEdge();
    const { market, fetch } = stand;
    const summary = await runTraffic({
      edge,
      nowMs,
      queries: 400,
      users: 60,
      market,
      fetch,
      concurrency: 1,
      ...options,
    });
    return { log: stand.log, summary: { ...summary, seconds: 0 } };
  };

  it('asks and clicks the same for a seed', async () => {
    const first = await run({ crawlers: 0.1 });
    expect(await run({ crawlers: 0.1 })).toEqual(first);
    expect((await run({ crawlers: 0.1, seed: 2 })).log.texts).not.toEqual(first.log.texts);
  });

  it('has crawlers that say so and keep no cookie, and others that pass for people', async () => {
    const { log, summary } = await run({ queries: 1_500, users: 300, crawlers: 0.2, hiddenCrawlers: 0.1 });
    const declared = log.agents.filter((agent) => agent.includes('bot')).length;
    expect(summary.crawled).toBe(declared);
    expect(summary.answers).toBe(summary.requests - declared);
    expect(declared).toBeGreaterThan(0);
    expect(log.units.size).toBeGreaterThan(declared);
    // The hidden ones are few units that ask far more than anybody.
    const asked = [...log.units.values()].sort((a, b) => b - a);
    expect(asked[0]).toBeGreaterThan(3 * asked[20]!);
  });

  it('sends again what it has recorded', async () => {
    const lines: string[] = [];
    const first = await run({ onAnswer: (answer, met) => lines.push(logLine(answer, met)) });
    const again = await run({ replay: replayed(parseLog(lines.join('\n'))) });
    // Visits overlap in time; the log is sent in the order of the searches.
    expect(again.log.texts.toSorted()).toEqual(first.log.texts.toSorted());
    const { users, clicks, conversions, conversionValueMicros } = first.summary;
    expect(again.summary).toMatchObject({ requests: 400, users, clicks, conversions, conversionValueMicros });
  });

  it('records into a file that is whole when the command ends, and refuses one that cannot be written', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'harness-record-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const said = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    onTestFinished(() => said.mockRestore());
    const record = (file: string) =>
      createTrafficCommand(async ({ onAnswer }) => (await run({ queries: 50, ...(onAnswer && { onAnswer }) })).summary)
        .exitOverride()
        .parseAsync(['--queries', '50', '--json', '--record', file], { from: 'user' });
    await record(join(dir, 'log'));
    expect(parseLog(readFileSync(join(dir, 'log'), 'utf8'))).toHaveLength(50);
    await expect(record(join(dir, 'none', 'log'))).rejects.toMatchObject({ code: 'configuration' });
    await expect(record(join(dir, 'none', 'log'))).rejects.toThrow(/^--record: .* cannot be written \(ENOENT/);
  });

  it('says that an effect came upon nobody, where no answer was in its arm', async () => {
    const said = { out: vi.spyOn(process.stdout, 'write'), err: vi.spyOn(process.stderr, 'write') };
    for (const spy of Object.values(said)) {
      spy.mockReturnValue(true);
      onTestFinished(() => spy.mockRestore());
    }
    const send = (...args: string[]) =>
      createTrafficCommand(async () => (await run({ queries: 50 })).summary)
        .exitOverride()
        .parseAsync(['--queries', '50', ...args], { from: 'user' });
    await send('--effect', 'clicks=+5%');
    await send('--arm', 'treatmnt');
    expect(said.err).not.toHaveBeenCalled();
    await send('--effect', 'clicks=+5%', '--arm', 'treatmnt');
    expect(said.err.mock.calls).toEqual([
      [`--arm: no answer was in treatmnt of ${DEFAULT_EXPERIMENT}: the effect came upon nobody.\n`],
    ]);
  });

  it('stops when told to: visits in flight are finished, the rest is not begun', async () => {
    const controller = new AbortController();
    const { log, summary } = await run({
      queries: undefined,
      signal: controller.signal,
      onProgress: ({ done, total }) => {
        expect(total).toBeUndefined();
        if (done === 200) controller.abort();
      },
    });
    expect(summary.requests).toBeGreaterThanOrEqual(200);
    expect(summary.requests).toBeLessThan(209);
    expect(summary.conversions + summary.unreported).toBeGreaterThan(0);
    expect(log.orders.length).toBe(summary.conversions);
  });
});
