/** Experiments as requests meet them, in workerd: overrides, sticky arms, diversion, interleaving, the kill switch, KV. */
import { describe, expect, it } from 'vitest';
import { kvSnapshot } from '../../edge/config-snapshot.ts';
import { STICKY_COOKIE } from '../../edge/sticky.ts';
import type { ServingConfig } from '../../shared/contract/config.ts';
import type { ClickEvent, ImpressionEvent } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import type { Experiment } from '../../shared/experiment.ts';
import { fingerprint, resolvePlan } from '../../shared/plan.ts';
import { signOverride } from '../../shared/qa-override.ts';
import { parseKeyRing, signToken } from '../../shared/signature.ts';
import { CANDIDATES, TEST_KEYS } from './stand-in.ts';
import { edgeUnderTest, namespaceOf } from './under-test.worker.ts';

type Edge = ReturnType<typeof edgeUnderTest>;
const KEYS = parseKeyRing(TEST_KEYS);
const BASE = DEFAULT_CONFIG.experiments[0]!;
const last = (edge: Edge) => edge.queued.at(-1) as ImpressionEvent;
const configOf = (version: number, ...experiments: Experiment[]): ServingConfig => ({
  ...DEFAULT_CONFIG,
  version,
  generation: 7,
  experiments,
});

/** An edge that has adopted these experiments. */
async function edgeWith(...experiments: Experiment[]): Promise<Edge> {
  const edge = edgeUnderTest();
  await adopt(edge, configOf(3, ...experiments));
  return edge;
}

async function adopt(edge: Edge, config: ServingConfig): Promise<void> {
  await edge.backend({ config, news: { configVersion: config.version, generation: 7 } });
  await edge.isolate.config.refresh();
  expect(edge.isolate.config.state).toMatchObject({ version: config.version, lastError: null });
}

const cookiesOf = (response: Response) =>
  response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0]!)
    .join('; ');

describe('a signed override', () => {
  const inOneHour = () => Date.now() + 3_600_000;
  const override = (arms: Record<string, string>, expiresAtMs = inOneHour()) =>
    signOverride(KEYS, { arms, expiresAtMs });

  it('forces an arm, also of a draft, and marks the event', async () => {
    const edge = await edgeWith({ ...BASE, status: 'draft', sticky: true });
    for (const arm of ['control', 'treatment']) {
      const response = await edge.fetch(`/v1/ads?q=shoes&qa=${await override({ [BASE.key]: arm })}`);
      expect(await response.json()).toMatchObject({ assignments: [{ experiment: BASE.key, arm }] });
      expect(last(edge)).toMatchObject({ qa: true, assignments: [{ experiment: BASE.key, arm }] });
      expect(cookiesOf(response)).not.toContain(STICKY_COOKIE);
    }
    await edge.ads('q=shoes');
    expect(last(edge).qa).toBeUndefined();
    expect(last(edge).assignments).toEqual([]);
  });

  it('forces an arm of what is drawn by queries and does not run, too', async () => {
    for (const diversion of ['query', 'query-day'] as const) {
      const edge = await edgeWith({ ...BASE, status: 'stopped', diversion });
      const { assignments } = await edge.ads(`q=shoes&qa=${await override({ [BASE.key]: 'treatment' })}`);
      expect(assignments).toMatchObject([{ arm: 'treatment', unitId: expect.stringMatching(/^[0-9a-f]{32}$/) }]);
    }
  });

  it('costs no advertiser a click', async () => {
    const edge = await edgeWith({ ...BASE, status: 'draft' });
    const charged = async (query: string) => {
      const { slots } = await edge.ads(query);
      const { pathname } = new URL(slots[0]!.clickUrl);
      expect((await edge.fetch(pathname)).status).toBe(302);
      return (edge.queued.at(-1) as ClickEvent).chargeMicros;
    };
    expect(await charged(`q=shoes&qa=${await override({ [BASE.key]: 'control' })}`)).toBe(0);
    expect(await charged('q=shoes')).toBeGreaterThan(0);
  });

  it.each<[string, () => Promise<string>, string]>([
    ['that is over', () => override({ [BASE.key]: 'control' }, Date.now() - 60_000), 'invalid_token'],
    ['that is another token', () => signToken(KEYS, 'unit', '{}'), 'invalid_token'],
    [
      'that was changed',
      async () => (await override({ [BASE.key]: 'control' })).replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      'invalid_token',
    ],
    ['of an unknown arm', () => override({ [BASE.key]: 'none' }), 'bad_request'],
  ])('%s is refused, and nothing is logged', async (_, token, code) => {
    const edge = await edgeWith(BASE);
    expect((await edge.problem(`/v1/ads?q=shoes&qa=${await token()}`)).code).toBe(code);
    expect(edge.queued).toEqual([]);
  });
});

describe('a sticky arm', () => {
  const sticky = { ...BASE, sticky: true };
  const reversed = (arm: string) => ({
    ...sticky,
    arms: sticky.arms.map((each) => ({ ...each, weight: each.key === arm ? 1e-9 : 1 })),
  });

  it('stays with the visitor when the weights change, and with nobody else', async () => {
    const edge = await edgeWith(sticky);
    const response = await edge.fetch('/v1/ads?q=shoes');
    const { assignments } = (await response.json()) as { assignments: { arm: string }[] };
    const { arm } = assignments[0]!;
    const cookie = cookiesOf(response);
    await adopt(edge, configOf(4, reversed(arm)));
    const again = await edge.fetch('/v1/ads?q=shoes', { headers: { cookie } });
    expect(await again.json()).toMatchObject({ assignments: [{ arm }] });
    expect(again.headers.getSetCookie()).toEqual([]);

    const arms = cookie.split('; ').find((each) => each.startsWith(STICKY_COOKIE))!;
    const stranger = await edge.fetch('/v1/ads?q=shoes', { headers: { cookie: arms } });
    expect(
      ((await stranger.json()) as typeof response & { assignments: { arm: string }[] }).assignments[0]!.arm,
    ).not.toBe(arm);
  });

  it('ends with a block of its version', async () => {
    const edge = await edgeWith(sticky);
    const cookie = cookiesOf(await edge.fetch('/v1/ads?q=shoes'));
    await adopt(edge, configOf(4, { ...sticky, version: 2, minVersion: 2 }));
    expect((await edge.ads('q=shoes', { headers: { cookie } })).assignments).toEqual([]);
    expect((await edge.ads('q=shoes')).assignments).toHaveLength(1);
  });

  it('of a record that another version of the Worker wrote is no record', async () => {
    const edge = await edgeWith(sticky);
    const unit = cookiesOf(await edge.fetch('/v1/ads?q=shoes')).split('; ')[0]!;
    const record = await signToken(KEYS, 'arms', JSON.stringify({ unit: 'u', arms: [] }));
    const cookie = `${unit}; ${STICKY_COOKIE}=${record}`;
    const response = await edge.fetch('/v1/ads?q=shoes', { headers: { cookie } });
    expect([response.status, last(edge).assignments.length]).toEqual([200, 1]);
    expect(cookiesOf(response)).toContain(STICKY_COOKIE);
  });

  it('is none that an override forced', async () => {
    const edge = await edgeWith(sticky);
    const qa = await signOverride(KEYS, { arms: { [BASE.key]: 'treatment' }, expiresAtMs: Date.now() + 3_600_000 });
    expect(cookiesOf(await edge.fetch(`/v1/ads?q=shoes&qa=${qa}`))).not.toContain(STICKY_COOKIE);
    expect(last(edge).qa).toBe(true);
  });

  it('is kept in no browser that did not consent', async () => {
    const edge = await edgeWith(sticky);
    const response = await edge.fetch('/v1/ads?q=shoes', { headers: { 'sec-gpc': '1' } });
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(last(edge).assignments).toHaveLength(1);
  });
});

it('diverted by query, all visitors of a query see one arm, and the log names the query by a digest', async () => {
  const edge = await edgeWith({ ...BASE, diversion: 'query' });
  const arms = new Set<string>();
  for (let i = 0; i < 16; i++) {
    const seen = [await edge.ads(`q=query+${i}`), await edge.ads(`q=Query++${i}`)].map(
      ({ assignments }) => assignments,
    );
    expect(seen[0]).toEqual(seen[1]);
    const { unitId, arm } = last(edge).assignments[0]!;
    expect(unitId).toMatch(/^[0-9a-f]{32}$/);
    arms.add(arm);
  }
  expect([...arms].sort()).toEqual(['control', 'treatment']);
});

it('targets devices', async () => {
  const edge = await edgeWith({ ...BASE, targeting: { devices: ['mobile'] } });
  const phone = 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36';
  expect((await edge.ads('q=shoes', { headers: { 'user-agent': phone } })).assignments).toHaveLength(1);
  expect(last(edge).device).toBe('mobile');
  expect((await edge.ads('q=shoes')).assignments).toEqual([]);
  expect(last(edge).device).toBe('desktop');
});

describe('an interleaving', () => {
  const interleaving = { ...BASE, kind: 'interleaving' as const };

  it('asks for both plans, merges before the auction, and logs the team of every slot', async () => {
    const edge = await edgeWith(interleaving);
    const answer = await edge.ads('q=shoes');
    const { retrieved } = await edge.told();
    expect(retrieved.map(({ plan }) => plan.retrievers.join()).sort()).toEqual(['dense,lexical', 'lexical']);
    // Both plans got the same candidates here, so the auction is that of one list.
    expect(answer.slots.map(({ adId }) => adId)).toEqual(['ad-5', 'ad-4', 'ad-3', 'ad-2']);
    expect(answer.assignments).toEqual([{ experiment: BASE.key, layer: BASE.layer, arm: 'interleaved' }]);
    const prints = BASE.arms.map(({ parameters }) => fingerprint(resolvePlan(DEFAULT_CONFIG.plan, [parameters])));
    expect(last(edge)).toMatchObject({
      assignments: answer.assignments,
      planFingerprint: (await Promise.all(prints)).join('+'),
    });
    const teams = last(edge).slots.map(({ team }) => team);
    for (const team of teams) expect(['control', 'treatment']).toContain(team);
  });

  it('shares the cache with the plans of a split, and draws its teams anew for each page', async () => {
    const edge = await edgeWith(interleaving);
    const drafts = new Set<string>();
    for (let i = 0; i < 20; i++) {
      await edge.ads('q=shoes');
      drafts.add(
        last(edge)
          .slots.map(({ team }) => team![0])
          .join(''),
      );
    }
    expect(drafts.size).toBeGreaterThan(3);
    await adopt(edge, configOf(4, BASE));
    expect((await edge.ads('q=shoes')).cache.status).toBe('memory');
    expect((await edge.told()).retrieved).toHaveLength(2);
  });

  it('without a backend is no exposure', async () => {
    const edge = await edgeWith(interleaving);
    await edge.backend({ retrieve: 'drop' });
    expect(await edge.ads('q=shoes')).toMatchObject({ slots: [], assignments: [] });
    expect(last(edge)).toMatchObject({ rung: 'empty', assignments: [] });
  });
});

describe('a switchback', () => {
  const switchback: Experiment = {
    ...BASE,
    kind: 'switchback',
    switchback: { windowMinutes: 60, washoutMinutes: 20 },
  };
  /** An edge at so many minutes into the first window of a block. */
  const edgeAt = async (minutes: number, overrides: Parameters<typeof edgeUnderTest>[0] = {}) => {
    const edge = edgeUnderTest(overrides);
    const blockSeconds = 2 * 3_600;
    const into = (Date.now() / 1_000) % blockSeconds;
    edge.later(blockSeconds - into + minutes * 60);
    await adopt(edge, configOf(3, switchback));
    return edge;
  };

  it('shows everybody in a market the arm of the window, and the other one in the next', async () => {
    const edge = await edgeAt(30);
    const seen = new Map<string, Set<string>>();
    for (const hour of [0, 1]) {
      for (let visitor = 0; visitor < 4; visitor++) {
        const { assignments } = await edge.ads(`q=shoes+${visitor}`);
        const { unitId, arm, washout } = last(edge).assignments[0]!;
        expect(assignments).toEqual(last(edge).assignments);
        expect(washout).toBe(false);
        expect(unitId).toMatch(/^us@\d+$/);
        seen.set(unitId!, (seen.get(unitId!) ?? new Set()).add(arm));
      }
      expect(seen.size).toBe(hour + 1);
      edge.later(3_600);
      await edge.isolate.config.refresh();
    }
    const [[first, ...none], [second]] = [...seen.values()].map((arms) => [...arms]) as [string[], string[]];
    expect(none).toEqual([]);
    expect([first, second].sort()).toEqual(['control', 'treatment']);
  });

  it('says where the arm before still wears off, and keeps windows by name where queries are digests', async () => {
    const edge = await edgeAt(19, { QUERY_LOG: 'digest' });
    await edge.ads('q=shoes');
    expect(last(edge).assignments).toMatchObject([{ washout: true, unitId: expect.stringMatching(/^us@\d+$/) }]);
    edge.later(120);
    await edge.ads('q=shoes');
    expect(last(edge).assignments).toMatchObject([{ washout: false }]);
  });
});

describe('the counterfactual log', () => {
  const logging = { ...BASE, counterfactualShare: 1 };
  const triggered = (edge: Edge) => last(edge).assignments.map((each) => each.triggered);

  it('costs nothing where it is not asked for', async () => {
    const edge = await edgeWith(BASE);
    await edge.ads('q=shoes');
    expect((await edge.told()).retrieved).toHaveLength(1);
    expect(last(edge).assignments[0]).not.toHaveProperty('triggered');
  });

  it('asks for the other plan too, says that the pages are the same, and tells nobody but the log', async () => {
    const edge = await edgeWith(logging);
    const { assignments } = await edge.ads('q=shoes');
    expect((await edge.told()).retrieved.map(({ plan }) => plan.retrievers.join()).sort()).toEqual([
      'dense,lexical',
      'lexical',
    ]);
    expect(triggered(edge)).toEqual([false]);
    expect(assignments[0]).not.toHaveProperty('triggered');
    await edge.ads('q=shoes');
    expect((await edge.told()).retrieved).toHaveLength(2);
  });

  it.each([
    ['other ads', CANDIDATES.slice(0, 3)],
    ['other prices', CANDIDATES.map((each) => (each.adId === 'ad-1' ? { ...each, bidMicros: 300_000 } : each))],
  ])('says where the other arm would have shown %s', async (_what, candidates) => {
    const edge = await edgeWith(BASE);
    const cookie = cookiesOf(await edge.fetch('/v1/ads?q=shoes'));
    const { slots } = last(edge);
    await edge.backend({ candidates });
    await adopt(edge, configOf(4, logging));
    await edge.fetch('/v1/ads?q=shoes', { headers: { cookie } });
    expect(last(edge)).toMatchObject({ slots, cache: { status: 'memory' } });
    expect(triggered(edge)).toEqual([true]);
  });

  it('counts what cannot be compared as triggered', async () => {
    const edge = await edgeWith(BASE);
    const cookie = cookiesOf(await edge.fetch('/v1/ads?q=shoes'));
    await adopt(edge, configOf(4, logging));
    await edge.backend({ retrieve: 'refuse' });
    await edge.fetch('/v1/ads?q=shoes', { headers: { cookie } });
    expect(last(edge).slots).toHaveLength(4);
    expect(triggered(edge)).toEqual([true]);
  });

  it('is no reason to show what was taken down while the other plan was asked', async () => {
    const edge = await edgeWith(BASE);
    const cookie = cookiesOf(await edge.fetch('/v1/ads?q=shoes'));
    expect(last(edge).slots.map(({ adId }) => adId)).toContain('ad-5');
    await adopt(edge, configOf(4, logging));
    await edge.backend({ retrieve: 'hold' });
    const late = edge.fetch('/v1/ads?q=shoes', { headers: { cookie } });
    while ((await edge.told()).held === 0);
    await edge.backend({ killList: { version: 5, generation: 7, adIds: ['ad-5'] } });
    edge.later(1);
    await edge.release();
    await late;
    expect(last(edge)).toMatchObject({ cache: { status: 'memory' } });
    expect(last(edge).slots.map(({ adId }) => adId)).not.toContain('ad-5');
  });

  it('asks for no plan twice, and finds equal plans alike without asking', async () => {
    const arms = [...BASE.arms, { ...BASE.arms[1]!, key: 'twin' }];
    const edge = await edgeWith({ ...logging, arms: arms.map((arm) => ({ ...arm, parameters: { k: 30 } })) });
    await edge.ads('q=shoes');
    expect((await edge.told()).retrieved).toHaveLength(1);
    expect(triggered(edge)).toEqual([false]);
  });

  it('has all queries of a share of the units, and none of the others', async () => {
    const edge = await edgeWith({ ...logging, counterfactualShare: 0.5 });
    const seen = new Set<boolean>();
    for (let unit = 0; unit < 12; unit++) {
      const cookie = cookiesOf(await edge.fetch('/v1/ads?q=shoes'));
      const first = triggered(edge)[0];
      await edge.fetch('/v1/ads?q=boots', { headers: { cookie } });
      expect(triggered(edge)[0] === undefined).toBe(first === undefined);
      seen.add(first === undefined);
    }
    expect(seen.size).toBe(2);
  });
});

it('the kill switch: a stopped experiment is over with the first answer that speaks of it, cached lists or not', async () => {
  const edge = await edgeWith({
    ...BASE,
    arms: BASE.arms.map((arm) => ({ ...arm, parameters: { retrievers: ['dense'] } })),
  });
  await edge.ads('q=shoes');
  expect(last(edge).assignments).toHaveLength(1);
  const exposed = last(edge).planFingerprint;
  const stopped = configOf(4, { ...BASE, status: 'stopped' });
  await edge.backend({ config: stopped, news: { configVersion: 4, generation: 7 } });
  await edge.ads('q=another'); // a miss: the backend's answer brings the news
  await edge.ads('q=another'); // asks for the configuration
  const answer = await edge.ads('q=shoes');
  expect(answer.assignments).toEqual([]);
  expect(last(edge)).toMatchObject({ configVersion: 4, assignments: [] });
  expect(last(edge).planFingerprint).not.toBe(exposed);
});

describe('the configuration in KV', () => {
  const away = { BACKEND_URL: 'http://127.0.0.1:9', BACKEND_DEADLINE_MS: '150' };

  it('is what a new isolate goes by when the backend is away', async () => {
    const KV = namespaceOf('config-cold');
    const warm = edgeUnderTest({ KV });
    await warm.backend({ config: { ...configOf(5), killList: ['ad-9'] }, news: { configVersion: 5, generation: 7 } });
    await warm.ads('q=shoes');
    const cold = edgeUnderTest({ ...away, KV });
    await cold.isolate.config.refresh();
    expect(cold.isolate.config.state).toMatchObject({ version: 5, source: 'kv', generation: 7, ageMs: null });
    expect(cold.isolate.config.serving.killed).toEqual(new Set(['ad-9']));
    expect((await cold.ads('q=shoes')).assignments).toEqual([]);
  });

  it('is refused whole when broken, with the reason in /healthz', async () => {
    const KV = namespaceOf('config-broken');
    await KV.put('config/serving', JSON.stringify({ ...configOf(5), plan: { k: 0 } }), {
      expirationTtl: 60,
      metadata: { version: 5 },
    });
    const cold = edgeUnderTest({ KV });
    await cold.backend({ config: 'hang' });
    void cold.isolate.config.refresh();
    await expect.poll(() => cold.isolate.config.state.lastError).toContain('KV: refused: plan');
    const health = (await (await cold.fetch('/healthz')).json()) as { status: string; config: object };
    expect(health).toMatchObject({ status: 'degraded', config: { version: 0, source: 'bundled', refused: 1 } });
  });

  it('is written once a version, and never back', async () => {
    const KV = namespaceOf('config-forward');
    let nowMs = Date.now();
    const snapshot = kvSnapshot(KV, () => nowMs);
    expect(await snapshot.read()).toBeUndefined();
    await snapshot.write(configOf(5));
    nowMs += 3_600_000;
    for (const version of [4, 5]) expect(await snapshot.write(configOf(version))).toBe(true);
    expect(await snapshot.read()).toMatchObject({ version: 5 });
    // By the clock of another isolate, which is an hour behind.
    nowMs -= 7_200_000;
    expect(await snapshot.write(configOf(6))).toBe(true);
    expect(await snapshot.read()).toMatchObject({ version: 6 });
  });

  it('gives way to the backend', async () => {
    const KV = namespaceOf('config-older');
    await kvSnapshot(KV, Date.now).write(configOf(5));
    const edge = edgeUnderTest({ KV });
    await adopt(edge, configOf(6, BASE));
    expect(edge.isolate.config.state).toMatchObject({ version: 6, source: 'backend' });
  });
});
