import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import type { Concept } from '../../marketplace/concepts.ts';
import { DEPARTMENTS } from '../../marketplace/departments.ts';
import type { Query } from '../../marketplace/queries.ts';
import { createRandom } from '../../marketplace/random.ts';
import { planSessions, type TrafficMarket } from '../../marketplace/sessions.ts';
import { formatSummary } from '../../marketplace/traffic.ts';
import { runTraffic } from '../../marketplace/traffic-run.ts';
import { createUsers } from '../../marketplace/users.ts';
import type { AdsResponse } from '../../shared/contract/ads.ts';
import { ConversionRequest } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../../shared/defaults.ts';

/** A market of one concept a department, in which the ad of a concept is `ad-` and the concept's id. */
function tinyMarket(): TrafficMarket {
  const departments = DEPARTMENTS.map(({ key }) => key);
  const concepts = new Map<string, Concept>(
    departments.map((department) => [
      `c-${department}`,
      {
        id: `c-${department}`,
        department,
        sold: true,
        names: [{ text: department, weight: 1 }],
        definition: '',
        commonness: 1,
        countable: true,
      },
    ]),
  );
  const queries = DEFAULT_CONFIG.markets.flatMap((market) =>
    departments.flatMap((department, i): Query[] =>
      [department, `cheap ${department}`].map((text) => ({
        id: `${market}-${text}`,
        text,
        normalized: text,
        key: text,
        kind: 'name',
        form: 'name',
        conceptId: `c-${department}`,
        intent: { targets: [`c-${department}`], attributes: [] },
        market,
        frequency: i + 1,
        slice: 'interpolation',
      })),
    ),
  );
  return {
    queries: { train: queries, validation: [], test: [] },
    concepts,
    grade: (query, adId) => (adId === `ad-${query.conceptId}` ? 3 : 0),
    random: (label) => createRandom(1, label),
  };
}

/** The edge's side of the contract, in memory, with a log of what came in. */
function standInEdge({ failEvery = 0 } = {}) {
  const market = tinyMarket();
  const log = {
    units: new Map<string, number>(),
    requestIds: [] as string[],
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

describe('runTraffic', () => {
  it('counts exactly what the edge saw, in all and by arm', async () => {
    const stand = standInEdge();
    const ids: string[] = [];
    const summary = await runTraffic({
      edge,
      queries: 3_000,
      users: 200,
      market: stand.market,
      fetch: stand.fetch,
      onAnswer: ({ requestId }) => ids.push(requestId),
    });
    expect(summary).toMatchObject({ requests: 3_000, answers: 3_000, adsShown: 6_000, refused: {}, refusedClicks: 0 });
    expect(ids.sort()).toEqual(stand.log.requestIds.sort());
    expect(summary.clicks).toBe(stand.log.clicks.length);
    expect(new Set(stand.log.clicks).size).toBe(stand.log.clicks.length);
    expect(summary.conversions).toBe(stand.log.orders.length);
    expect(summary.conversions).toBeGreaterThan(0);
    const { control, treatment } = summary.arms;
    expect(control!.answers + treatment!.answers).toBe(3_000);
    expect(control!.clicks + treatment!.clicks).toBe(summary.clicks);
    expect(summary.relevantShown).toBe(3_000);
    // The treatment of the stand-in shows the relevant ad on top.
    expect(treatment!.clicks / treatment!.answers).toBeGreaterThan(control!.clicks / control!.answers);
  });

  it('is one unit a person, and a person makes one search at a time', async () => {
    const stand = standInEdge();
    const summary = await runTraffic({
      edge,
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
    const summary = await runTraffic({ edge, queries: 500, users: 50, market: stand.market, fetch: stand.fetch });
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

  it('says in one line what to do when no edge answers', async () => {
    const nobody: typeof fetch = () => Promise.reject(new TypeError('fetch failed'));
    await expect(runTraffic({ edge, queries: 1, market: tinyMarket(), fetch: nobody })).rejects.toThrow(
      'No edge answers at http://edge.example: run `npm start` first.',
    );
  });
});

describe('planSessions', () => {
  const plan = (seed: number) => {
    const market = tinyMarket();
    const departments = DEPARTMENTS.map(({ key }) => key);
    const users = createUsers({ count: 50, markets: DEFAULT_CONFIG.markets, departments }, createRandom(seed, 'users'));
    return planSessions({ market, users, searches: 1_000 }, createRandom(seed, 'sessions'));
  };

  it('plans exactly the searches asked for, the same for a seed', () => {
    expect(plan(1).reduce((sum, { queries }) => sum + queries.length, 0)).toBe(1_000);
    expect(plan(1)).toEqual(plan(1));
    expect(plan(1)).not.toEqual(plan(2));
  });

  it('asks in the market of the person', () => {
    for (const { user, queries } of plan(1)) expect(queries.every(({ market }) => market === user.market)).toBe(true);
  });

  it('follows frequencies and habits', () => {
    const first = plan(3).map(({ user, queries }) => ({ user, department: queries[0]!.conceptId.slice(2) }));
    const habitual = first.filter(({ user, department }) => user.interests.includes(department));
    expect(habitual.length / first.length).toBeGreaterThan(0.5);
  });
});
