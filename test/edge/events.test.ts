import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { consume } from '../../edge/consumer.ts';
import { directDelivery, EventLog } from '../../edge/events.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

const event: HarnessEvent = { type: 'conversion', id: 'event-001', atMs: 1, clickId: 'impression:1', valueMicros: 1 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function logOver(send: () => Promise<unknown>, direct = vi.fn(async () => undefined)) {
  const errors: string[] = [];
  const log = new EventLog({
    queue: { send },
    direct,
    deadlineMs: 100,
    queueTimeoutMs: 2_000,
    onError: (message) => errors.push(message),
  });
  return { log, direct, errors };
}

describe('EventLog', () => {
  it('says that the event is safe as soon as the queue has it', async () => {
    const { log, direct } = logOver(async () => undefined);
    expect(await log.log(event, () => undefined)).toBe(true);
    expect(direct).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ issued: 1, queued: 1 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('lets the answer go after the deadline, and the event take the other way when the queue stays silent', async () => {
    const { log, direct, errors } = logOver(() => new Promise(() => undefined));
    const work: Promise<unknown>[] = [];
    const answered = log.log(event, (promise) => work.push(promise));
    await vi.advanceTimersByTimeAsync(99);
    expect(await Promise.race([answered, 'waiting'])).toBe('waiting');
    await vi.advanceTimersByTimeAsync(1);
    expect(await answered).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_899);
    expect(direct).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await Promise.all(work);
    expect(direct).toHaveBeenCalledExactlyOnceWith(event);
    expect(log.counts).toMatchObject({ issued: 1, queued: 0, direct: 1, failed: 0 });
    expect(errors).toHaveLength(1);
  });

  it('does not send twice when the queue is slow but takes the event', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { log, direct } = logOver(() => promise);
    const work: Promise<unknown>[] = [];
    const answered = log.log(event, (each) => work.push(each));
    await vi.advanceTimersByTimeAsync(500);
    expect(await answered).toBeUndefined();
    resolve();
    await vi.advanceTimersByTimeAsync(5_000);
    await Promise.all(work);
    expect(direct).not.toHaveBeenCalled();
    expect(log.counts).toMatchObject({ issued: 1, queued: 1, direct: 0 });
  });

  it('counts an event that both ways refused, and names it', async () => {
    const { log, errors } = logOver(
      () => Promise.reject(new Error('full')),
      vi.fn(() => Promise.reject(new Error('away'))),
    );
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
  const message = (attempts: number) => ({ body: event, attempts, ack: vi.fn(), retry: vi.fn() });
  const counts = () => ({ issued: 0, queued: 0, direct: 0, delivered: 0, rejected: 0, failed: 0 });
  const away = () => Promise.reject(new Error('away'));

  it('waits longer with every attempt, and never long', async () => {
    const messages = [1, 2, 7, 15, 16, 100].map(message);
    await consume({ queue: 'q', messages }, { store: away, counts: counts(), onError: () => undefined });
    expect(messages.map(({ retry }) => retry.mock.calls[0]![0].delaySeconds)).toEqual([1, 2, 7, 15, 15, 15]);
    expect(messages.flatMap(({ ack }) => ack.mock.calls)).toEqual([]);
    const dead = message(1);
    await consume({ queue: 'q-dead', messages: [dead] }, { store: away, counts: counts(), onError: () => undefined });
    expect(dead.retry).toHaveBeenCalledWith({ delaySeconds: 60 });
  });

  it('says once that events wait, not at every attempt', async () => {
    const onError = vi.fn();
    for (const attempts of [1, 2, 3]) {
      await consume({ queue: 'q', messages: [message(attempts)] }, { store: away, counts: counts(), onError });
    }
    expect(onError).toHaveBeenCalledTimes(1);
  });
});
