import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EventLog } from '../../edge/events.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

const event: HarnessEvent = { type: 'conversion', id: 'event-001', atMs: 1, clickId: 'impression:1', valueMicros: 1 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const never = () => new Promise<never>(() => undefined);
const refusing = (why: string) => () => Promise.reject(new Error(why));

const idsOf = (message: string) => (JSON.parse(message) as HarnessEvent[]).map(({ id }) => id);

function logOver(ways: {
  send?: (message: string) => Promise<unknown>;
  park?: (events: readonly HarnessEvent[]) => Promise<void>;
  direct?: (events: readonly HarnessEvent[]) => Promise<{ rejected: { index: number; reason: string }[] }>;
  gatherMs?: number;
}) {
  const errors: string[] = [];
  const send = vi.fn(ways.send ?? (async () => undefined));
  const park = vi.fn(ways.park ?? (async () => undefined));
  const direct = vi.fn(ways.direct ?? (async () => ({ rejected: [] })));
  const noted: string[] = [];
  const log = new EventLog({
    queue: { send: (message) => send(message) },
    park,
    direct,
    note: ({ id }) => noted.push(id),
    gatherMs: ways.gatherMs ?? 5,
    deadlineMs: 100,
    outboxTimeoutMs: 2_000,
    now: Date.now,
    onError: (message) => errors.push(message),
  });
  const work: Promise<unknown>[] = [];
  /** Events of requests that run at the same time. */
  const logged = (...ids: string[]) =>
    Promise.all(ids.map((id) => log.log({ ...event, id }, (promise) => work.push(promise))));
  return { log, logged, work, send, park, direct, noted, errors };
}

describe('EventLog', () => {
  it('says that events are safe as soon as the queue has them, in one message', async () => {
    const { log, logged, send, park, direct, noted } = logOver({});
    const answered = logged('a', 'b');
    await vi.advanceTimersByTimeAsync(0);
    expect(await answered).toEqual([true, true]);
    expect(send.mock.calls.map(([message]) => idsOf(message))).toEqual([['a', 'b']]);
    expect(park).not.toHaveBeenCalled();
    expect(direct).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ issued: 2, queued: 2 });
    expect(noted).toEqual(['a', 'b']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    ['refuses', refusing('full')],
    [
      'throws before it promises anything',
      () => {
        throw new Error('no such queue');
      },
    ],
    ['hangs', never],
  ])('puts the events into the outbox, once and in one call, when the queue %s', async (_, send) => {
    const { log, logged, park, direct, errors } = logOver({ send });
    const answered = logged('a', 'b');
    await vi.advanceTimersByTimeAsync(100);
    expect(await answered).toEqual([true, true]);
    expect(park).toHaveBeenCalledExactlyOnceWith(['a', 'b'].map((id) => ({ ...event, id })));
    expect(direct).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ issued: 2, queued: 0, outboxed: 2, failed: 0 });
    expect(errors).toEqual(['event a and 1 more went to the outbox']);
  });

  it('does not take its own standstill for a queue that hangs', async () => {
    const { promise: sent, resolve } = Promise.withResolvers<void>();
    const { log, logged, send, park } = logOver({ send: () => sent });
    const answered = logged('a');
    await vi.advanceTimersByTimeAsync(0);
    expect(send).toHaveBeenCalledOnce();
    // All that was due fires at once, before the answer that is there by then is read.
    vi.advanceTimersByTime(300);
    resolve();
    expect(await answered).toEqual([true]);
    expect(park).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ queued: 1, outboxed: 0 });
  });

  it('counts every event that took another way, and speaks of one a minute', async () => {
    const { log, logged, errors } = logOver({ send: refusing('full') });
    for (const id of ['a', 'b', 'c']) {
      void logged(id);
      await vi.advanceTimersByTimeAsync(1);
    }
    expect([log.counts.outboxed, errors.length]).toEqual([3, 1]);
    await vi.advanceTimersByTimeAsync(60_000);
    void logged('d');
    await vi.advanceTimersByTimeAsync(1);
    expect([log.counts.outboxed, errors.length]).toEqual([4, 2]);
  });

  it('counts what the queue took after its time, and stays to do so: it is delivered twice', async () => {
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 150));
    const { log, logged, park, work } = logOver({ send: slow });
    const answered = logged('a', 'b');
    await vi.advanceTimersByTimeAsync(120);
    expect(await answered).toEqual([true, true]);
    expect(park).toHaveBeenCalledOnce();
    expect(log.counts).toMatchObject({ issued: 2, queued: 0, outboxed: 2, late: 0 });
    await vi.advanceTimersByTimeAsync(50);
    await Promise.all(work);
    expect(work).toHaveLength(2);
    expect(log.counts).toMatchObject({ issued: 2, queued: 0, outboxed: 2, late: 2 });
  });

  it('counts what the outbox took after its time, and stays to do so', async () => {
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 2_500));
    const { log, logged, direct, work } = logOver({ send: refusing('full'), park: slow });
    void logged('a');
    await vi.advanceTimersByTimeAsync(2_400);
    expect(direct).toHaveBeenCalledOnce();
    expect(log.counts).toMatchObject({ direct: 1, late: 0 });
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(work);
    expect(work).toHaveLength(2);
    expect(log.counts).toMatchObject({ direct: 1, late: 1 });
  });

  it('calls the backend when queue and outbox refuse, and takes what it refuses for not delivered', async () => {
    const direct = async () => ({ rejected: [{ index: 1, reason: 'no such field' }] });
    const { log, logged, errors } = logOver({ send: refusing('full'), park: refusing('away'), direct });
    const answered = logged('a', 'b', 'c');
    await vi.advanceTimersByTimeAsync(0);
    expect(await answered).toEqual([true, false, true]);
    expect(log.counts).toMatchObject({ issued: 3, outboxed: 0, direct: 2, failed: 1 });
    expect(errors).toEqual([
      'event a and 2 more went to the backend directly',
      'event b is lost: queue, outbox and backend failed',
    ]);
  });

  it('lets the answer go when queue and outbox hang, and calls the backend after it', async () => {
    const { log, logged, direct, work } = logOver({ send: never, park: never });
    const answered = logged('a');
    await vi.advanceTimersByTimeAsync(199);
    expect(await Promise.race([answered, 'waiting'])).toBe('waiting');
    await vi.advanceTimersByTimeAsync(1);
    expect(await answered).toEqual([undefined]);
    expect(direct).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1_900);
    expect(direct).toHaveBeenCalledOnce();
    // An outbox that hangs is not waited for for ever; the queue's last word is, by nobody but the runtime.
    await vi.advanceTimersByTimeAsync(2_000);
    const [delivery, , outbox] = work;
    await Promise.all([delivery, outbox]);
    expect(log.counts).toMatchObject({ issued: 1, direct: 1, failed: 0 });
  });

  it('counts an event that every way refused, and names it', async () => {
    const { log, logged, errors } = logOver({
      send: refusing('full'),
      park: refusing('away'),
      direct: refusing('away'),
    });
    const answered = logged('a', 'b');
    await vi.advanceTimersByTimeAsync(0);
    expect(await answered).toEqual([false, false]);
    expect(log.counts).toMatchObject({ issued: 2, failed: 2 });
    expect(errors.map((error) => error.split(' ')[1])).toEqual(['a', 'b']);
  });

  it('delivers its own event when the request that was to deliver the group is gone', async () => {
    const { log, logged, work, send, park } = logOver({});
    void logged('a');
    // Gone with all its timers.
    vi.clearAllTimers();
    const answered = logged('b');
    await vi.advanceTimersByTimeAsync(199);
    expect(park).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(await answered).toEqual([true]);
    expect(send).not.toHaveBeenCalled();
    expect(park).toHaveBeenCalledExactlyOnceWith([{ ...event, id: 'b' }]);
    expect(work).toHaveLength(2);
    expect(log.counts).toMatchObject({ issued: 2, queued: 0, outboxed: 1 });
  });

  it.each<[takes: boolean, company: string[], parked: string[][], counts: object]>([
    [true, ['c'], [['a'], ['b']], { queued: 1, late: 1, outboxed: 1 }],
    [true, [], [['a'], ['b']], { queued: 0, late: 1, outboxed: 1 }],
    [false, ['c'], [['a'], ['b'], ['c']], { queued: 0, late: 0, outboxed: 2 }],
    [false, [], [['a'], ['b']], { queued: 0, late: 0, outboxed: 1 }],
  ])(
    'sends what has gone another way no second one with its group (queue takes it: %s; with it %j)',
    async (takes, company, parked, counts) => {
      let [sent, given] = [0, 0];
      const { log, logged, park } = logOver({
        send: async () => (++sent === 1 ? never() : takes || Promise.reject(new Error('full'))),
        park: async () => (++given === 1 ? never() : undefined),
        gatherMs: 1_000,
      });
      // It hangs, and so long the next group gathers.
      void logged('a');
      await vi.advanceTimersByTimeAsync(1);
      void logged('b');
      await vi.advanceTimersByTimeAsync(900);
      expect(log.counts).toMatchObject({ queued: 0, outboxed: 1 });
      void logged(...company);
      await vi.advanceTimersByTimeAsync(110);
      expect(sent).toBe(2);
      expect(park.mock.calls.map(([events]) => events.map(({ id }) => id))).toEqual(parked);
      expect(log.counts).toMatchObject(counts);
    },
  );
});
