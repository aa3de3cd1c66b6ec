import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Sending } from '../../edge/events.ts';
import { GroupedQueue } from '../../edge/grouped-queue.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const event = (id: string): HarnessEvent => ({ type: 'conversion', id, atMs: 1, clickId: 'click:1', valueMicros: 1 });

/** A queue whose calls end when the test says so. */
function heldQueue({ lingerMs = 0 } = {}) {
  const calls: { message: string; ids: string[]; end: (error?: Error) => void }[] = [];
  const take = (message: string) =>
    new Promise<void>((resolve, reject) => {
      const end = (error?: Error) => (error === undefined ? resolve() : reject(error));
      calls.push({ message, ids: (JSON.parse(message) as HarnessEvent[]).map(({ id }) => id), end });
    });
  const queue = new GroupedQueue({
    queue: { send: take },
    now: Date.now,
    gatherMs: 5,
    lingerMs,
  });
  const done: string[] = [];
  const late: string[] = [];
  const kept: Promise<unknown>[] = [];
  const send = (id: string): Sending => {
    const waitUntil = (work: Promise<unknown>) => void kept.push(work);
    const sending = { waitUntil, diverted: false, onLate: () => void late.push(id) };
    void queue.send(event(id), sending).then(
      () => done.push(id),
      () => done.push(`${id} refused`),
    );
    return sending;
  };
  return { calls, done, late, kept, send, turn: () => vi.advanceTimersByTimeAsync(0) };
}

it('sends at once while nothing is in the air, and waits for the queue', async () => {
  const { calls, done, send, turn } = heldQueue();
  void send('a');
  expect(calls.map(({ ids }) => ids)).toEqual([['a']]);
  await turn();
  expect(done).toEqual([]);
  calls[0]!.end();
  await turn();
  expect(done).toEqual(['a']);
  void send('b');
  expect(calls[1]!.ids).toEqual(['b']);
  expect(vi.getTimerCount()).toBe(0);
});

it('gathers what comes meanwhile for one call, each event once', async () => {
  const { calls, done, send, turn } = heldQueue();
  for (const id of ['a', 'b', 'c', 'd']) void send(id);
  expect(calls).toHaveLength(1);
  calls[0]!.end();
  await turn();
  expect(calls.map(({ ids }) => ids)).toEqual([['a'], ['b', 'c', 'd']]);
  expect(done).toEqual(['a']);
  calls[1]!.end();
  await turn();
  expect(done).toEqual(['a', 'b', 'c', 'd']);
});

it('leaves requests alone that are over, counts what it took for them, and stays in the air for all', async () => {
  const { calls, done, late, kept, send, turn } = heldQueue();
  const [, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => send(id));
  calls[0]!.end();
  await turn();
  // One call, one request that stays for it.
  expect(kept).toHaveLength(2);
  let over = false;
  void kept[1]!.then(() => {
    over = true;
  });
  b!.diverted = true;
  d!.diverted = true;
  await turn();
  expect(over).toBe(false);
  calls[1]!.end();
  await turn();
  expect([over, done, late]).toEqual([true, ['a', 'c'], ['b', 'd']]);
  expect(c!.diverted).toBe(false);
});

it('wakes the next call as soon as none is in the air', async () => {
  const { calls, done, send, turn } = heldQueue();
  for (const id of ['a', 'b']) void send(id);
  expect(calls).toHaveLength(1);
  calls[0]!.end(new Error('full'));
  await turn();
  expect(calls).toHaveLength(2);
  expect(vi.getTimerCount()).toBe(0);
  calls[1]!.end();
  await turn();
  expect(done).toEqual(['a refused', 'b']);
});

it('tells everybody whose event was refused, and nobody else', async () => {
  const { calls, done, send, turn } = heldQueue();
  for (const id of ['a', 'b', 'c']) void send(id);
  calls[0]!.end();
  await turn();
  void send('d');
  calls[1]!.end(new Error('full'));
  await turn();
  calls[2]!.end();
  await turn();
  expect(done).toEqual(['a', 'b refused', 'c refused', 'd']);
});

it('holds nothing up for longer than it gathers when a call hangs', async () => {
  const { calls, done, send, turn } = heldQueue();
  void send('a');
  void send('b');
  await vi.advanceTimersByTimeAsync(5);
  expect(calls.map(({ ids }) => ids)).toEqual([['a'], ['b']]);
  calls[1]!.end();
  await turn();
  expect(done).toEqual(['b']);
});

it('keeps below what one message may carry, in characters of three bytes too', async () => {
  const { calls, send, turn } = heldQueue();
  const ids = Array.from({ length: 120 }, (_, i) => `${i} ${'\u20ac'.repeat(600)}`);
  for (const id of ids) void send(id);
  calls[0]!.end();
  await turn();
  for (const { end } of calls) end();
  await turn();
  expect(calls).toHaveLength(3);
  for (const { message } of calls) expect(Buffer.byteLength(message)).toBeLessThanOrEqual(128_000);
  expect(calls.flatMap(({ ids }) => ids).sort()).toEqual(ids.sort());
});

it('lingers for company where groups follow each other closely, and not otherwise', async () => {
  const { calls, done, send, turn } = heldQueue({ lingerMs: 1 });
  const sentAlone = (id: string) => {
    void send(id);
    expect(calls.at(-1)!.ids).toEqual([id]);
    calls.at(-1)!.end();
  };
  sentAlone('a');
  await turn();
  for (const id of ['b', 'c']) void send(id);
  await turn();
  expect(calls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(calls[1]!.ids).toEqual(['b', 'c']);
  calls[1]!.end();
  await turn();
  expect(done).toEqual(['a', 'b', 'c']);
  await vi.advanceTimersByTimeAsync(10);
  sentAlone('d');
});

it('lets nobody join a group that is never sent', async () => {
  const queue = new GroupedQueue({
    queue: { send: (message) => (message.includes('in the air') ? new Promise(() => undefined) : Promise.resolve()) },
    now: Date.now,
    gatherMs: 5,
    lingerMs: 0,
  });
  const options = () => ({ waitUntil: () => undefined, diverted: false, onLate: () => undefined });
  void queue.send(event('in the air'), options());
  // The request that opened the next group is gone, and its timer with it.
  void queue.send(event('orphan'), options());
  vi.clearAllTimers();
  vi.setSystemTime(Date.now() + 11);
  const joined = queue.send(event('late'), options());
  const followed = queue.send(event('later'), options());
  await vi.advanceTimersByTimeAsync(5);
  await expect(Promise.all([joined, followed])).resolves.toBeDefined();
});
