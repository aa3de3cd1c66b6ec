/** The queue's stand-in with its own SQLite: what becomes of a message, and what it costs when many wait. */
import { expect, it } from 'vitest';
import { Queues } from '../../../scripts/edge-serve/queue.worker.ts';
import { type CountedSql, withSql } from './counted-sql.worker.ts';

const [QUEUE, DEAD] = ['events', 'events-dead'];
let count = 0;

/** What the Worker's handler does with a batch of a queue. */
type Handler = (queue: string) => Promise<'take' | 'retry'>;

interface Given {
  sql: CountedSql;
  /** Resolves with the status of the answer. */
  send: (queue: string, message: string) => Promise<number>;
  /** Wakes the queues; resolves with when they want to be woken next, `null` for not at all. */
  alarm: () => Promise<number | null>;
  /** The name of the queue and the bodies, by delivery. */
  deliveries: string[][];
  /** Takes everything until another one is set. */
  handle: (handler: Handler) => void;
  /** What is sent from now on is due after so many seconds; at once before. */
  dueAfter: (seconds: number) => void;
}

/** Runs with queues of their own, in batches of two. */
const withQueues = (act: (given: Given) => Promise<void>) =>
  withSql(`queue-test-${++count}`, async (sql) => {
    const deliveries: string[][] = [];
    let handler: Handler = async () => 'take';
    let alarmAt: number | null = null;
    const storage = {
      sql,
      getAlarm: async () => alarmAt,
      setAlarm: async (atMs: number) => {
        alarmAt = atMs;
      },
    };
    const EDGE = {
      async queue(name: string, messages: unknown[]) {
        deliveries.push([name, ...(messages as { body: string }[]).map(({ body }) => body)]);
        return { outcome: 'ok', retryBatch: { retry: (await handler(name)) === 'retry' } };
      },
    };
    const open = (maxBatchTimeout: number) => {
      const settings = { maxBatchSize: 2, maxBatchTimeout, maxRetries: 1, retryDelay: 0 };
      const CONSUMERS = JSON.stringify({ [QUEUE!]: { ...settings, deadLetterQueue: DEAD }, [DEAD!]: settings });
      return new Queues({ storage }, { EDGE, CONSUMERS, QUEUES: undefined as never });
    };
    let queues = open(0);
    await act({
      sql,
      async send(queue, body) {
        const headers = { 'x-msg-fmt': 'text' };
        const request = new Request(`https://queues/${queue}/message`, { method: 'POST', headers, body });
        return (await queues.fetch(request as never)).status;
      },
      async alarm() {
        alarmAt = null;
        await queues.alarm();
        return alarmAt;
      },
      deliveries,
      handle: (next) => {
        handler = next;
      },
      dueAfter: (seconds) => {
        queues = open(seconds);
      },
    });
  });

it('delivers in batches, and sleeps when nothing waits', () =>
  withQueues(async ({ send, alarm, deliveries }) => {
    for (const message of ['a', 'b', 'c']) expect(await send(QUEUE!, message)).toBe(200);
    expect(await send('another', 'd')).toBe(400);
    expect(await alarm()).not.toBeNull();
    expect(await alarm()).toBeNull();
    expect(deliveries.map(([queue, ...messages]) => [queue, messages.length])).toEqual([
      [QUEUE, 2],
      [QUEUE, 1],
    ]);
    expect(deliveries.flatMap(([, ...messages]) => messages).sort()).toEqual(['a', 'b', 'c']);
  }));

it('delivers again what is refused, as a dead letter after its last attempt', () =>
  withQueues(async ({ send, alarm, deliveries, handle }) => {
    handle(async (queue) => (queue === QUEUE ? 'retry' : 'take'));
    await send(QUEUE!, 'a');
    while ((await alarm()) !== null);
    expect(deliveries).toEqual([
      [QUEUE, 'a'],
      [QUEUE, 'a'],
      [DEAD, 'a'],
    ]);
  }));

it('delivers again what was on its way in a call that failed', () =>
  withQueues(async ({ send, alarm, deliveries, handle }) => {
    handle(() => Promise.reject(new Error('the edge is gone')));
    await send(QUEUE!, 'a');
    expect(await alarm()).not.toBeNull();
    handle(async () => 'take');
    expect(await alarm()).toBeNull();
    expect(deliveries).toHaveLength(2);
  }));

it('lets no queue wait for the end of another that has none', () =>
  withQueues(async ({ send, alarm, deliveries, handle }) => {
    handle(async (queue) => {
      if (queue === QUEUE && deliveries.length < 20) await send(QUEUE!, 'one more');
      return 'take';
    });
    await send(QUEUE!, 'a');
    await send(DEAD!, 'b');
    expect(await alarm()).not.toBeNull();
    expect(deliveries).toEqual([
      [QUEUE, 'a'],
      [DEAD, 'b'],
    ]);
  }));

it('reads what is due, however much is not', () =>
  withQueues(async ({ sql, send, alarm, deliveries, dueAfter }) => {
    dueAfter(3_600);
    for (let i = 0; i < 300; i++) await send(QUEUE!, `later ${i}`);
    dueAfter(0);
    await send(QUEUE!, 'now');
    const before = sql.rowsRead;
    expect(await alarm()).toBeGreaterThan(Date.now());
    expect(deliveries).toEqual([[QUEUE, 'now']]);
    expect(sql.rowsRead - before).toBeLessThan(50);
  }));

it('does not wake for messages of a queue that has no consumer any more', () =>
  withQueues(async ({ sql, alarm }) => {
    sql.exec("insert into messages (queue, body, sent, attempts, due) values ('renamed', '\"a\"', 0, 0, 0)");
    expect(await alarm()).toBeNull();
  }));
