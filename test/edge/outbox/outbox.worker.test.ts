/** One outbox object through failures, with its own SQLite and a clock of the test's. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { noEvents } from '../../../edge/events.ts';
import { Outbox, type OutboxDependencies } from '../../../edge/outbox/outbox.ts';
import type { HarnessEvent } from '../../../shared/contract/events.ts';
import { MAX_RECONCILED_IDS } from '../../../shared/contract/reconciliation.ts';

const T0 = 1_800_000_000_000;
const event = (id: string): HarnessEvent => ({
  type: 'conversion',
  id,
  atMs: T0,
  clickId: 'impression:1',
  valueMicros: 1,
});
const away = () => Promise.reject(new Error('away'));
let count = 0;

/** Runs with an outbox of its own; `alarms` are the times it set, `errors` what it said. */
function withOutbox(
  act: (given: {
    outbox: Outbox;
    dependencies: OutboxDependencies;
    note: (ids: readonly string[]) => Promise<Response>;
    at: (ms: number) => void;
    alarms: number[];
    errors: string[];
    loseAlarm: () => void;
  }) => Promise<void>,
) {
  const { OUTBOX } = env as unknown as { OUTBOX: DurableObjectNamespace };
  return runInDurableObject(OUTBOX.get(OUTBOX.idFromName(`outbox-test-${++count}`)) as never, async (_, state) => {
    let nowMs = T0;
    let alarmAt: number | null = null;
    const [alarms, errors]: [number[], string[]] = [[], []];
    const dependencies: OutboxDependencies = {
      now: () => nowMs,
      store: async (events) => ({ stored: events.length, duplicates: 0, rejected: [] }),
      missing: async () => [],
      noteLost: async () => undefined,
      counts: noEvents(),
      onError: (message) => errors.push(message),
    };
    const storage = {
      sql: state.storage.sql,
      getAlarm: async () => alarmAt,
      setAlarm: async (atMs: number) => {
        alarmAt = atMs;
        alarms.push(atMs);
      },
    };
    const outbox = new Outbox({ storage }, () => dependencies);
    const note = (ids: readonly string[]) =>
      outbox.fetch(new Request('https://outbox/note', { method: 'POST', body: JSON.stringify(ids) }) as never);
    const at = (ms: number) => {
      if (alarmAt !== null && alarmAt <= T0 + ms) alarmAt = null;
      nowMs = T0 + ms;
    };
    const loseAlarm = () => {
      alarmAt = null;
    };
    await act({ outbox, dependencies, note, at, alarms, errors, loseAlarm });
  });
}

it('is woken a second after the first event, however many follow', () =>
  withOutbox(async ({ outbox, at, alarms }) => {
    await outbox.put([event('event-001')]);
    at(500);
    await outbox.put([event('event-002')]);
    expect(alarms).toEqual([T0 + 1_000]);
  }));

it('tries again after pauses that double, half a minute at most, and says once that events wait', () =>
  withOutbox(async ({ outbox, dependencies, at, alarms, errors }) => {
    const { store } = dependencies;
    dependencies.store = away;
    await outbox.put([event('event-001')]);
    for (let i = 0; i < 8; i++) {
      at(alarms.at(-1)! - T0);
      await outbox.alarm();
    }
    const pauses = alarms.map((atMs, i) => (atMs - (alarms[i - 1] ?? T0)) / 1_000);
    expect(pauses).toEqual([1, 2, 4, 8, 16, 30, 30, 30, 30]);
    expect(errors).toEqual(['1 events wait in the outbox']);
    dependencies.store = store;
    at(alarms.at(-1)! - T0);
    await outbox.alarm();
    expect(alarms).toHaveLength(9);
    await outbox.put([event('event-002')]);
    expect(alarms[9]! - alarms[8]!).toBe(1_000);
  }));

it('is woken again by the next look at its ledger when its alarm was lost, and by none when nothing waits', () =>
  withOutbox(async ({ outbox, at, alarms, loseAlarm }) => {
    await outbox.reconcile();
    expect(alarms).toEqual([]);
    await outbox.put([event('event-001')]);
    at(500);
    await outbox.reconcile();
    expect(alarms).toEqual([T0 + 1_000]);
    loseAlarm();
    await outbox.reconcile();
    expect(alarms).toEqual([T0 + 1_000, T0 + 1_500]);
  }));

it('is woken soon where its alarm was set by a clock that has been set back since', () =>
  withOutbox(async ({ outbox, at, alarms }) => {
    await outbox.put([event('event-001')]);
    at(-3_600_000);
    await outbox.put([event('event-002')]);
    expect(alarms.at(-1)).toBe(T0 - 3_600_000 + 1_000);
  }));

it('is woken when its alarm was lost, though the backend cannot be asked for ids', () =>
  withOutbox(async ({ outbox, dependencies, note, at, alarms, loseAlarm }) => {
    dependencies.missing = away;
    await note(['event-001']);
    await outbox.put([event('event-001')]);
    loseAlarm();
    at(300_000);
    await expect(outbox.reconcile()).rejects.toThrow('away');
    expect(alarms).toHaveLength(2);
  }));

it('keeps an event that it is given twice once', () =>
  withOutbox(async ({ outbox, dependencies }) => {
    const sent: string[] = [];
    dependencies.store = async (events) => {
      sent.push(...events.map(({ id }) => id));
      return { stored: events.length, duplicates: 0, rejected: [] };
    };
    await outbox.put([event('event-001')]);
    await outbox.put([event('event-001'), event('event-002')]);
    // Another one, for ids are told apart within a kind of events.
    const click = { ...{ impressionId: 'i', adId: 'ad-1', position: 1, chargeMicros: 1, bot: false }, atMs: T0 };
    await outbox.put([{ ...click, type: 'click', id: 'event-001' }]);
    await outbox.alarm();
    expect(sent).toEqual(['event-001', 'event-002', 'event-001']);
  }));

it('looks once for all who ask at a time, so that nothing is counted twice', () =>
  withOutbox(async ({ outbox, dependencies, note, at }) => {
    await note(['event-001', 'event-002']);
    at(300_000);
    const held = Promise.withResolvers<void>();
    let looks = 0;
    dependencies.missing = async () => {
      looks += 1;
      await held.promise;
      return ['event-002'];
    };
    const both = [outbox.reconcile(), outbox.reconcile()];
    held.resolve();
    for (const found of await Promise.all(both)) {
      expect(found.minutes).toMatchObject([{ issued: 2, stored: 1, missing: 1 }]);
      expect(found.missing).toMatchObject([{ id: 'event-002', checks: 1 }]);
    }
    expect(looks).toBe(1);
    // And again for who asks later, also after a look that failed.
    dependencies.missing = away;
    await expect(outbox.reconcile()).rejects.toThrow('away');
    dependencies.missing = async () => [];
    expect((await outbox.reconcile()).minutes).toMatchObject([{ issued: 2, stored: 2, missing: 0 }]);
  }));

it('names in the log what was looked for twice in vain, once, and tells the backend of its arms', () =>
  withOutbox(async ({ outbox, dependencies, note, at, errors }) => {
    await note(['event-001 one/a two/b', 'event-002 one/b']);
    at(300_000);
    dependencies.missing = async () => ['event-001'];
    const lost: string[] = [];
    dependencies.noteLost = async (exposures) => {
      lost.push(...exposures.map(({ impressionId, experiment, arm }) => `${impressionId} ${experiment}/${arm}`));
    };
    await outbox.reconcile();
    expect([errors, lost]).toEqual([[], []]);
    for (let i = 0; i < 2; i++) await outbox.reconcile();
    expect(errors).toEqual(['event event-001 of 2027-01-15T08:00:00.000Z is missing']);
    expect(lost).toEqual(['event-001 one/a', 'event-001 two/b']);
  }));

it('names it although the backend is away before the end of that look', () =>
  withOutbox(async ({ outbox, dependencies, note, at, errors }) => {
    await note(['event-001']);
    for (let i = 0; i < MAX_RECONCILED_IDS; i += 1_000)
      await note(Array.from({ length: 1_000 }, (_, j) => `id-${i + j}`));
    at(300_000);
    dependencies.missing = async (ids) => [...ids];
    await outbox.reconcile();
    dependencies.missing = async (ids) => (ids.includes('event-001') ? ['event-001'] : away());
    await expect(outbox.reconcile()).rejects.toThrow('away');
    expect(errors).toEqual(['event event-001 of 2027-01-15T08:00:00.000Z is missing']);
  }));

it('asks for no id whose minute ended less than two minutes ago: it may be on its way', () =>
  withOutbox(async ({ outbox, dependencies, note, at }) => {
    let looks = 0;
    dependencies.missing = async () => {
      looks += 1;
      return [];
    };
    at(59_999);
    await note(['event-001']);
    at(179_999);
    expect([(await outbox.reconcile()).recent, looks]).toEqual([1, 0]);
    at(180_000);
    expect([(await outbox.reconcile()).recent, looks]).toEqual([0, 1]);
  }));

it('asks for an id that never came no longer than a day, and says so for as long', () =>
  withOutbox(async ({ outbox, dependencies, note, at }) => {
    dependencies.missing = async (ids) => [...ids];
    await note(['event-001']);
    const day = 24 * 3_600_000;
    at(day);
    expect(await outbox.reconcile()).toMatchObject({ minutes: [{ missing: 1 }], missing: [{ id: 'event-001' }] });
    at(day + 60_000);
    dependencies.missing = () => expect.fail('nothing is left to be asked for');
    expect(await outbox.reconcile()).toMatchObject({ minutes: [], missing: [], recent: 0 });
  }));

it('names no more ids in a question than the backend reads, and leaves out none', () =>
  withOutbox(async ({ outbox, dependencies, note, at }) => {
    const ids = Array.from({ length: 2 * MAX_RECONCILED_IDS }, (_, i) => `event-${i}`);
    for (let from = 0; from < ids.length; from += 4_000) await note(ids.slice(from, from + 4_000));
    const asked: string[][] = [];
    dependencies.missing = async (some) => {
      asked.push([...some]);
      return [];
    };
    expect((await outbox.reconcile()).recent).toBe(ids.length);
    expect(asked).toEqual([]);
    at(300_000);
    const found = await outbox.reconcile();
    expect(asked.map(({ length }) => length)).toEqual([4_000, 4_000, 2_000]);
    expect(asked.flat()).toEqual(ids);
    expect(found).toMatchObject({ recent: 0, missing: [], minutes: [{ issued: ids.length, stored: ids.length }] });
  }));

it('says of a fault what it was, and to who asked only that there was one', () =>
  withOutbox(async ({ outbox, errors }) => {
    const broken = await outbox.fetch(
      new Request('https://outbox/put', { method: 'POST', body: '{"not": "a list"}' }) as never,
    );
    expect([broken.status, errors]).toEqual([500, ['outbox: /put failed']]);
    expect(await broken.json()).toMatchObject({ code: 'internal' });
    expect(
      (await outbox.fetch(new Request('https://outbox/else', { method: 'POST', body: '[]' }) as never)).status,
    ).toBe(404);
    expect(errors).toHaveLength(1);
  }));
