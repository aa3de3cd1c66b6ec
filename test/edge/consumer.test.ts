/** What becomes of a message by its attempts; that batches are stored and drained is in delivery.worker.test.ts. */
import { expect, it } from 'vitest';
import { type ConsumerOptions, consume } from '../../edge/consumer.ts';
import { noEvents } from '../../edge/events.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

const event: HarnessEvent = { type: 'conversion', id: 'event-001', atMs: 1, clickId: 'impression:1', valueMicros: 1 };
const away = () => Promise.reject(new Error('away'));

/** What happened to messages that have been delivered so often, and what was said of it. */
async function consumed(
  attempts: readonly number[],
  {
    queue = 'harness-events',
    body = JSON.stringify([event]),
    ...world
  }: Partial<ConsumerOptions> & {
    queue?: string;
    body?: string | HarnessEvent;
  },
) {
  const fates: (string | number)[] = [];
  const said: string[] = [];
  const messages = attempts.map((each) => ({
    body,
    attempts: each,
    ack: () => void fates.push('done'),
    retry: ({ delaySeconds }: { delaySeconds: number }) => void fates.push(delaySeconds),
  }));
  await consume(
    { queue, messages },
    { store: away, park: away, counts: noEvents(), onError: (message) => void said.push(message), ...world },
  );
  return { fates, said };
}

it('comes again after a pause that grows with its attempts, a quarter of a minute at most', async () => {
  expect((await consumed([1, 2, 14, 15, 16, 99], {})).fates).toEqual([1, 2, 14, 15, 15, 15]);
});

it('says that events wait when they begin to, not at every attempt', async () => {
  expect((await consumed([1, 1], {})).said).toEqual(['2 events of harness-events wait for the backend']);
  expect((await consumed([2, 3], {})).said).toEqual([]);
});

it('comes again as a dead letter that neither backend nor outbox takes, and is done with once the outbox has it', async () => {
  const queue = 'harness-events-dead';
  const kept = await consumed([2, 3], { queue });
  expect(kept).toEqual({ fates: [60, 60], said: ['2 dead letters could not move to the outbox'] });
  const parked: HarnessEvent[] = [];
  const park = async (events: readonly HarnessEvent[]) => void parked.push(...events);
  expect(await consumed([2], { queue, park })).toEqual({ fates: ['done'], said: [] });
  expect(parked).toEqual([event]);
  const store = async () => ({ stored: 1, duplicates: 0, rejected: [] });
  expect(await consumed([2], { queue, park, store })).toEqual({ fates: ['done'], said: [] });
  expect(parked).toEqual([event]);
});

it('is done with where its part of a batch that is too large was stored, and comes again where not', async () => {
  const body = JSON.stringify([{ ...event, clickId: 'x'.repeat(100_000) }]);
  const sizes: number[] = [];
  const store = async (events: readonly HarnessEvent[]) => {
    expect(JSON.stringify(events).length).toBeLessThan(257_000);
    if (sizes.push(events.length) === 2) throw new Error('away');
    return { stored: events.length, duplicates: 0, rejected: [] };
  };
  const { fates } = await consumed([1, 1, 1, 1, 1], { body, store });
  expect(sizes).toEqual([2, 2, 1]);
  expect(fates).toEqual(['done', 'done', 1, 1, 'done']);
});

it('may be one event by itself, as messages once were', async () => {
  const stored: HarnessEvent[] = [];
  const store = async (events: readonly HarnessEvent[]) => {
    stored.push(...events);
    return { stored: 1, duplicates: 0, rejected: [] };
  };
  expect((await consumed([1], { body: event, store })).fates).toEqual(['done']);
  expect(stored).toEqual([event]);
});
