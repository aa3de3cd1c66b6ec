import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type EventGroup, EventGroups, type Ticket } from '../../edge/event-groups.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const event = (id: string): HarnessEvent => ({ type: 'conversion', id, atMs: 1, clickId: 'click:1', valueMicros: 1 });
const idsOf = ({ tickets }: EventGroup) => tickets.map(({ text }) => (JSON.parse(text) as HarnessEvent).id);

/** Groups whose delivery ends when the test says so. */
function heldGroups() {
  const deliveries: { ids: string[]; bytes: number; end: (unsafe?: readonly string[]) => void }[] = [];
  const groups = new EventGroups({
    deliver: (group) =>
      new Promise((resolve) => {
        const texts = group.tickets.map(({ text }) => text);
        const end = (unsafe: readonly string[] = []) =>
          resolve(({ text }: Ticket) => !unsafe.includes((JSON.parse(text) as HarnessEvent).id));
        deliveries.push({ ids: idsOf(group), bytes: Buffer.byteLength(`[${texts}]`), end });
      }),
    now: Date.now,
    gatherMs: 5,
  });
  const done: string[] = [];
  const kept: Promise<unknown>[] = [];
  const join = (id: string): Ticket => {
    const ticket = groups.join(event(id), (work) => kept.push(work));
    void ticket.safe.then((safe) => done.push(safe ? id : `${id} lost`));
    return ticket;
  };
  return { deliveries, done, kept, join, turn: () => vi.advanceTimersByTimeAsync(0) };
}

it('delivers what one turn brought while nothing is under way, and tells all when it is done', async () => {
  const { deliveries, done, join, turn } = heldGroups();
  join('a');
  join('b');
  expect(deliveries).toEqual([]);
  await turn();
  expect(deliveries.map(({ ids }) => ids)).toEqual([['a', 'b']]);
  expect(done).toEqual([]);
  deliveries[0]!.end();
  await turn();
  expect(done).toEqual(['a', 'b']);
  join('c');
  await turn();
  expect(deliveries[1]!.ids).toEqual(['c']);
  expect(vi.getTimerCount()).toBe(0);
});

it('gathers what comes meanwhile for one delivery, each event once', async () => {
  const { deliveries, done, join, turn } = heldGroups();
  join('a');
  await turn();
  for (const id of ['b', 'c', 'd']) join(id);
  expect(deliveries).toHaveLength(1);
  deliveries[0]!.end();
  await turn();
  expect(deliveries.map(({ ids }) => ids)).toEqual([['a'], ['b', 'c', 'd']]);
  expect(done).toEqual(['a']);
  deliveries[1]!.end();
  await turn();
  expect(done).toEqual(['a', 'b', 'c', 'd']);
  expect(vi.getTimerCount()).toBe(0);
});

it('keeps one request of a group, the first, and it until all is done', async () => {
  const { deliveries, kept, join, turn } = heldGroups();
  for (const id of ['a', 'b', 'c']) join(id);
  expect(kept).toHaveLength(1);
  let over = false;
  void kept[0]!.then(() => {
    over = true;
  });
  await turn();
  expect(over).toBe(false);
  deliveries[0]!.end();
  await turn();
  expect(over).toBe(true);
});

it('tells each whose event is not safe, and nobody else', async () => {
  const { deliveries, done, join, turn } = heldGroups();
  for (const id of ['a', 'b', 'c']) join(id);
  await turn();
  deliveries[0]!.end(['b']);
  await turn();
  expect(done).toEqual(['a', 'b lost', 'c']);
});

it('holds nothing up for longer than it gathers when a delivery hangs', async () => {
  const { deliveries, done, join, turn } = heldGroups();
  join('a');
  await turn();
  join('b');
  await vi.advanceTimersByTimeAsync(5);
  expect(deliveries.map(({ ids }) => ids)).toEqual([['a'], ['b']]);
  deliveries[1]!.end();
  await turn();
  expect(done).toEqual(['b']);
});

it('keeps below what one message may carry, in characters of three bytes too', async () => {
  const { deliveries, join, turn } = heldGroups();
  // One more than the bound allows would be too many.
  const ids = Array.from({ length: 30 }, (_, i) => `${i} ${'\u20ac'.repeat(2_000)}`);
  for (const id of ids) join(id);
  await turn();
  for (const { end } of deliveries) end();
  await turn();
  expect(deliveries).toHaveLength(2);
  for (const { bytes } of deliveries) expect(bytes).toBeLessThanOrEqual(128_000);
  expect(deliveries.flatMap((each) => each.ids).sort()).toEqual(ids.sort());
});

it('keeps below the events that one call to the backend takes', async () => {
  const { deliveries, join, turn } = heldGroups();
  for (let i = 0; i < 201; i++) join(`${i}`);
  await vi.advanceTimersByTimeAsync(5);
  await turn();
  expect(deliveries.map(({ ids }) => ids.length)).toEqual([100, 100, 1]);
});

it('lets nobody join a group that is never delivered', async () => {
  const { deliveries, done, join, turn } = heldGroups();
  join('under way');
  await turn();
  // The request that opened the next group is gone, and its timer with it.
  const orphan = join('orphan');
  vi.clearAllTimers();
  vi.setSystemTime(Date.now() + 11);
  const late = join('late');
  expect(late.group).not.toBe(orphan.group);
  expect(join('later').group).toBe(late.group);
  await vi.advanceTimersByTimeAsync(5);
  expect(deliveries[1]!.ids).toEqual(['late', 'later']);
  deliveries[1]!.end();
  await turn();
  expect(done).toEqual(['late', 'later']);
  expect(orphan.group.decided).toBe(false);
});
