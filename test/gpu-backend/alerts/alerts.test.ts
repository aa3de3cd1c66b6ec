import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { deliverAlerts, retryAfterMs } from '../../../gpu-backend/alerts/deliver.ts';
import { alertsOf, raiseAlerts } from '../../../gpu-backend/alerts/raise.ts';
import { ELSEWHERE, type Exclusive, inTurn } from '../../../gpu-backend/db/exclusive.ts';
import { Alert } from '../../../shared/contract/alerts.ts';
import { parseKeyRing, verifyRequest } from '../../../shared/signature.ts';
import {
  emptyEvents,
  experimentOf,
  impressionOf,
  storeEvents,
  storeExperiment,
} from '../../fixtures/experiment-traffic.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

const KEYS = parseKeyRing('test:0123456789abcdef');
const NOON = Date.UTC(2026, 3, 1, 12);
const DAY_MS = 86_400_000;

/** A webhook: what it got, and with which status it answers. */
async function listen() {
  const calls: { alert: Alert; nonce: string }[] = [];
  const hook = { calls, status: 204, now: NOON, url: '', close: () => {} };
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const { headers, method = '', url: path = '' } = request;
    const read = { get: (name: string) => headers[name] as string | undefined };
    const nonce = await verifyRequest(KEYS, { method, path, body }, read, hook.now);
    calls.push({ alert: Alert.parse(JSON.parse(body)), nonce });
    response.writeHead(hook.status, hook.status === 307 ? { location: '/elsewhere' } : {}).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  hook.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/alerts?team=ads`;
  hook.close = () => void server.close();
  return hook;
}

const always: Exclusive = (work) => work();

describe.each(DATABASES)('alerts on the %s database', (name, open) => {
  const database = useDatabase(open);
  let hook: Awaited<ReturnType<typeof listen>>;
  beforeEach(async () => {
    hook = await listen();
    await emptyEvents(database.db, 'experiments', 'alerts', 'counters');
    return () => hook.close();
  });

  /** 40 units in control, none in treatment: no chance. */
  async function lopsided(key = 'test') {
    await storeExperiment(database.db, experimentOf(key));
    await storeEvents(
      database.db,
      Array.from({ length: 40 }, (_, i) =>
        impressionOf({ id: `${key}-${i}`, unit: `${key}-${i}`, arm: 'control', experiment: key }),
      ),
    );
  }
  const raise = (nowMs: number, turn = always) =>
    raiseAlerts(database.db, {
      nowMs,
      inTurn: turn,
      onFailure: (_experiment, error) => {
        throw error;
      },
    });
  const failures: string[] = [];
  const deliver = (nowMs: number) => {
    hook.now = nowMs;
    return deliverAlerts(database.db, {
      url: hook.url,
      keys: KEYS,
      now: () => nowMs,
      onFailure: (_alert, reason) => failures.push(reason),
    });
  };
  const sampleRatio = <T extends { check: string }>(found: readonly T[]) =>
    found.filter(({ check }) => check === 'sample_ratio');

  it('tell of a sample-ratio mismatch, signed, once a day as long as it lasts', async () => {
    await lopsided();
    const raised = await raise(NOON);
    expect(sampleRatio(raised)).toMatchObject([
      { id: 'test@1:sample_ratio:2026-04-01', experiment: 'test', report: '/v1/experiments/test/report' },
    ]);
    await Promise.all([raise(NOON + 1), raise(NOON + 2)]);
    expect(await deliver(NOON + 3)).toBe(raised.length);
    expect(await deliver(NOON + 4)).toBe(0);
    expect(sampleRatio(hook.calls.map(({ alert }) => alert))).toEqual(sampleRatio(raised));
    await raise(NOON + DAY_MS);
    await deliver(NOON + DAY_MS);
    expect(sampleRatio(hook.calls.map(({ alert }) => alert)).map(({ id }) => id)).toEqual([
      'test@1:sample_ratio:2026-04-01',
      'test@1:sample_ratio:2026-04-02',
    ]);
  });

  it('are looked for by one of all backends, now and then', async () => {
    await lopsided();
    const connection = { batch: database.db, kind: name === 'server' ? ('postgres' as const) : ('pglite' as const) };
    const backend = () => inTurn(connection, { lock: 1, counter: 'alerts', everyMs: 3_600_000 });
    const [one, other] = [backend(), backend()];
    expect(await raise(NOON, one)).not.toEqual([]);
    for (const again of [one, other]) expect(await raise(NOON + DAY_MS, again)).toEqual([]);
    const setBack = (ms: number) =>
      database.db.execute(sql`update counters set value = value - ${ms}::bigint where name = 'alerts'`);
    await setBack(3_600_001);
    expect(await raise(NOON + DAY_MS, other)).not.toEqual([]);
    expect(await one(async () => 'a look')).toBe(ELSEWHERE);
    // of before the database's clock was set back
    await setBack(-3_600_000);
    expect(await one(async () => 'a look')).toBe('a look');
  });

  it('are raised of the others where one experiment cannot be looked at', async () => {
    await lopsided('broken');
    await lopsided();
    let looks = 0;
    const db = new Proxy(database.db, {
      get(target, name) {
        if (name === 'select' && ++looks === 2) throw new Error('the first look after the list');
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const unseen: string[] = [];
    const onFailure = (experiment: string) => unseen.push(experiment);
    const raised = await raiseAlerts(db, { nowMs: NOON, inTurn: always, onFailure });
    expect(sampleRatio(raised).map(({ experiment }) => experiment)).toEqual(['test']);
    expect(unseen).toEqual(['broken']);
  });

  it('are not raised for what is well, or does not run', async () => {
    await storeExperiment(database.db, experimentOf('well'));
    await lopsided('stopped');
    await database.db.execute(
      sql`update experiments set definition = jsonb_set(definition, '{status}', '"stopped"') where key = 'stopped'`,
    );
    expect(await raise(NOON)).toEqual([]);
  });

  it('are tried again, later and later, until the webhook takes them, under the same id', async () => {
    await lopsided();
    const { length } = await raise(NOON);
    hook.status = 500;
    failures.length = 0;
    expect(await deliver(NOON)).toBe(0);
    expect(failures).toEqual(Array(length).fill('status 500'));
    expect(await deliver(NOON + retryAfterMs(1) - 1)).toBe(0);
    expect(hook.calls).toHaveLength(length);
    let at = NOON + retryAfterMs(1);
    // neither what it does not know nor another address is a delivery
    for (const [attempt, status] of [404, 307].entries()) {
      hook.status = status;
      expect(await deliver(at)).toBe(0);
      expect(failures.at(-1)).toBe(`status ${status}`);
      at += retryAfterMs(attempt + 2);
    }
    hook.status = 200;
    expect(await deliver(at)).toBe(length);
    expect(hook.calls).toHaveLength(4 * length);
    expect(new Set(hook.calls.map(({ alert }) => alert.id)).size).toBe(length);
    expect(new Set(hook.calls.map(({ nonce }) => nonce)).size).toBe(4 * length);
  });

  it('are in the hands of one sender at a time', async () => {
    await lopsided();
    const { length } = await raise(NOON);
    const [one, other] = await Promise.all([deliver(NOON), deliver(NOON)]);
    expect(one + other).toBe(length);
    expect(hook.calls).toHaveLength(length);
  });

  it('outlive a webhook that is away and a sender that died with the alert in its hands', async () => {
    await lopsided();
    const { length } = await raise(NOON);
    hook.close();
    failures.length = 0;
    expect(await deliver(NOON)).toBe(0);
    expect(failures[0]).toContain('ECONNREFUSED');
    hook = await listen();
    await database.db.execute(
      sql`update alerts set next_attempt_at = ${new Date(NOON + 60_000).toISOString()}::timestamptz`,
    ); // a lease
    expect(await deliver(NOON + 59_999)).toBe(0);
    expect(await deliver(NOON + 60_000)).toBe(length);
  });
});

it('tell of a guardrail that an arm breaks, unless the numbers are not to be trusted', () => {
  const harmed = { metric: 'ctr', title: 'CTR', margin: 0.02, state: 'harmed' as const };
  const effect = {
    ...{ absolute: -0.05, interval: [-0.06, -0.04] as [number, number], pValue: 0, significant: true },
    ...{ relative: -0.1, relativeInterval: [-0.12, -0.08] as [number, number] },
  };
  const verdict = {
    ...{ arm: 'treatment', decision: 'roll_back' as const, rule: 'guardrail_harmed', reason: '', primary: 'revenue' },
    guardrails: [
      { ...harmed, effect },
      { ...harmed, metric: 'queries', state: 'safe' as const, effect },
      { ...harmed, metric: 'cpc', state: 'open' as const, effect },
    ],
  };
  const experiment = { ...experimentOf('test'), version: 3 };
  const alerts = alertsOf({ experiment, checks: [], verdicts: [verdict] }, NOON);
  expect(alerts.map((alert) => Alert.parse(alert))).toEqual([
    {
      id: 'test@3:guardrail:ctr:treatment:2026-04-01',
      raisedAt: '2026-04-01T12:00:00.000Z',
      experiment: 'test',
      version: 3,
      check: 'guardrail:ctr:treatment',
      title: 'Guardrail: CTR, treatment',
      expected: 'a loss of at most 2 %',
      received: 'a difference of -12 % to -8 %',
      action: expect.stringContaining('Stop'),
      report: '/v1/experiments/test/report',
    },
  ]);
  expect(alertsOf({ experiment, checks: [], verdicts: [{ ...verdict, rule: 'untrusted' }] }, NOON)).toEqual([]);
});

it('wait twice as long each time, up to an hour', () => {
  expect([1, 2, 3, 10, 11, 500].map(retryAfterMs)).toEqual([5_000, 10_000, 20_000, 2_560_000, 3_600_000, 3_600_000]);
});
