import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { consume } from '../../edge/consumer.ts';
import { directDelivery, EventLog, noEvents, type Sending } from '../../edge/events.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

const event: HarnessEvent = { type: 'conversion', id: 'event-001', atMs: 1, clickId: 'impression:1', valueMicros: 1 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const never = () => new Promise<never>(() => undefined);
const refusing = (why: string) => () => Promise.reject(new Error(why));

function logOver(ways: {
  send?: (event: HarnessEvent, options: Sending) => Promise<unknown>;
  park?: () => Promise<void>;
  direct?: () => Promise<void>;
}) {
  const errors: string[] = [];
  const [send, park, direct] = [ways.send, ways.park, ways.direct].map((way) => vi.fn(way ?? (async () => undefined)));
  const noted: string[] = [];
  const log = new EventLog({
    queue: { send: send! as never },
    park: park as never,
    direct: direct as never,
    note: ({ id }) => noted.push(id),
    deadlineMs: 100,
    outboxTimeoutMs: 2_000,
    now: Date.now,
    onError: (message) => errors.push(message),
  });
  return { log, park: park!, direct: direct!, noted, errors };
}

describe('EventLog', () => {
  it('says that the event is safe as soon as the queue has it', async () => {
    const { log, park, direct, noted } = logOver({});
    expect(await log.log(event, () => undefined)).toBe(true);
    expect(park).not.toHaveBeenCalled();
    expect(direct).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ issued: 1, queued: 1 });
    expect(noted).toEqual([event.id]);
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
  ])('puts the event into the outbox, once, when the queue %s', async (_, send) => {
    const { log, park, direct, errors } = logOver({ send });
    const answered = log.log(event, () => undefined);
    await vi.advanceTimersByTimeAsync(100);
    expect(await answered).toBe(true);
    expect(park).toHaveBeenCalledExactlyOnceWith([event]);
    expect(direct).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ issued: 1, queued: 0, outboxed: 1, failed: 0 });
    expect(errors).toHaveLength(1);
  });

  it('does not take its own standstill for a queue that hangs', async () => {
    const { promise: sent, resolve } = Promise.withResolvers<void>();
    const { log, park } = logOver({ send: () => sent });
    const answered = log.log(event, () => undefined);
    // All that was due fires at once, before the answer that is there by then is read.
    vi.advanceTimersByTime(300);
    resolve();
    expect(await answered).toBe(true);
    expect(park).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ queued: 1, outboxed: 0 });
  });

  it('counts every event that took another way, and speaks of one a minute', async () => {
    const { log, errors } = logOver({ send: refusing('full') });
    for (let i = 0; i < 3; i++) await log.log(event, () => undefined);
    expect([log.counts.outboxed, errors.length]).toEqual([3, 1]);
    vi.advanceTimersByTime(60_000);
    await log.log(event, () => undefined);
    expect([log.counts.outboxed, errors.length]).toEqual([4, 2]);
  });

  it('counts what the queue took after its time: it is delivered twice', async () => {
    const slow = (_: HarnessEvent, sending: Sending) => {
      setTimeout(() => sending.diverted && sending.onLate(), 150);
      return never();
    };
    const { log, park } = logOver({ send: slow });
    const answered = log.log(event, () => undefined);
    await vi.advanceTimersByTimeAsync(120);
    expect(await answered).toBe(true);
    expect(park).toHaveBeenCalledOnce();
    expect(log.counts).toMatchObject({ issued: 1, queued: 0, outboxed: 1, late: 0 });
    await vi.advanceTimersByTimeAsync(50);
    expect(log.counts).toMatchObject({ issued: 1, queued: 0, outboxed: 1, late: 1 });
  });

  it('counts what the outbox took after its time, and stays to do so', async () => {
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 2_500));
    const { log, direct } = logOver({ send: refusing('full'), park: slow });
    const work: Promise<unknown>[] = [];
    void log.log(event, (promise) => work.push(promise));
    await vi.advanceTimersByTimeAsync(2_400);
    expect(direct).toHaveBeenCalledOnce();
    expect(log.counts).toMatchObject({ direct: 1, late: 0 });
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(work);
    expect(work).toHaveLength(2);
    expect(log.counts).toMatchObject({ direct: 1, late: 1 });
  });

  it('calls the backend when queue and outbox refuse', async () => {
    const { log, direct } = logOver({ send: refusing('full'), park: refusing('away') });
    expect(await log.log(event, () => undefined)).toBe(true);
    expect(direct).toHaveBeenCalledExactlyOnceWith(event);
    expect(log.counts).toMatchObject({ issued: 1, outboxed: 0, direct: 1, failed: 0 });
  });

  it('lets the answer go when queue and outbox hang, and calls the backend after it', async () => {
    const { log, direct } = logOver({ send: never, park: never });
    const work: Promise<unknown>[] = [];
    const answered = log.log(event, (promise) => work.push(promise));
    await vi.advanceTimersByTimeAsync(199);
    expect(await Promise.race([answered, 'waiting'])).toBe('waiting');
    await vi.advanceTimersByTimeAsync(1);
    expect(await answered).toBeUndefined();
    expect(direct).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1_900);
    expect(direct).toHaveBeenCalledExactlyOnceWith(event);
    // An outbox that hangs is not waited for for ever.
    await vi.advanceTimersByTimeAsync(2_000);
    await Promise.all(work);
    expect(log.counts).toMatchObject({ issued: 1, direct: 1, failed: 0 });
  });

  it('counts an event that every way refused, and names it', async () => {
    const { log, errors } = logOver({ send: refusing('full'), park: refusing('away'), direct: refusing('away') });
    expect(await log.log(event, () => undefined)).toBe(false);
    expect(log.counts).toMatchObject({ issued: 1, failed: 1 });
    expect(errors[0]).toContain('event-001');
  });

  it('takes an event that the backend refuses for not delivered', async () => {
    const direct = directDelivery(async () => ({ rejected: [{ reason: 'no such field' }] }));
    await expect(direct(event)).rejects.toThrow('no such field');
  });
});

describe('consume', () => {
  const message = (attempts: number, body = event) => ({ body, attempts, ack: vi.fn(), retry: vi.fn() });
  const stored = async () => ({ stored: 1, duplicates: 0, rejected: [] });
  const away = refusing('away');
  const options = (change: Partial<Parameters<typeof consume>[1]> = {}) => ({
    store: away,
    park: away,
    counts: noEvents(),
    onError: vi.fn(),
    ...change,
  });

  it('waits longer with every attempt, and never long', async () => {
    const messages = [1, 2, 7, 15, 16, 100].map((attempts) => message(attempts));
    await consume({ queue: 'q', messages }, options());
    expect(messages.map(({ retry }) => retry.mock.calls[0]![0].delaySeconds)).toEqual([1, 2, 7, 15, 15, 15]);
    expect(messages.flatMap(({ ack }) => ack.mock.calls)).toEqual([]);
  });

  it('says once that events wait, not at every attempt', async () => {
    const onError = vi.fn();
    for (const attempts of [1, 2, 3]) {
      await consume({ queue: 'q', messages: [message(attempts)] }, options({ onError }));
    }
    expect(onError).toHaveBeenCalledTimes(1);
  });

  it('drains dead letters: into the backend, else into the outbox, and only else are they tried again', async () => {
    const dead = (change: Partial<Parameters<typeof consume>[1]>) => {
      const letter = message(1);
      const park = vi.fn(change.park ?? away);
      return consume({ queue: 'q-dead', messages: [letter] }, options({ ...change, park })).then(() => ({
        acknowledged: letter.ack.mock.calls.length,
        retried: letter.retry.mock.calls,
        parked: park.mock.calls,
      }));
    };
    expect(await dead({ store: stored })).toEqual({ acknowledged: 1, retried: [], parked: [] });
    expect(await dead({ park: async () => undefined })).toEqual({ acknowledged: 1, retried: [], parked: [[[event]]] });
    expect(await dead({})).toMatchObject({ acknowledged: 0, retried: [[{ delaySeconds: 60 }]] });
  });

  it('cuts a batch that is too large, and acknowledges the part that was stored', async () => {
    const large = Array.from({ length: 5 }, (_, i) =>
      message(1, { ...event, id: `event-00${i}`, clickId: 'x'.repeat(100_000) }),
    );
    let calls = 0;
    const store = vi.fn(async (events: readonly HarnessEvent[]) => {
      expect(JSON.stringify(events).length).toBeLessThan(257_000);
      if (++calls === 2) throw new Error('away');
      return { stored: events.length, duplicates: 0, rejected: [] };
    });
    await consume({ queue: 'q', messages: large }, options({ store }));
    expect(store.mock.calls.map(([events]) => events.length)).toEqual([2, 2, 1]);
    expect(large.map(({ ack }) => ack.mock.calls.length)).toEqual([1, 1, 0, 0, 1]);
    expect(large.map(({ retry }) => retry.mock.calls.length)).toEqual([0, 0, 1, 1, 0]);
  });
});
