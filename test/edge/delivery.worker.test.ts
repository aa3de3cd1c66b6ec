/** Nothing lost: queue, outbox, direct call, dead letters and the ledger, with real Durable Objects and their SQLite. */
import { createExecutionContext, createMessageBatch, getQueueResult } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { answerAds } from '../../edge/ads.ts';
import { consume } from '../../edge/consumer.ts';
import { reconcileOnSchedule } from '../../edge/reconcile.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { Reconciliation } from '../../shared/contract/reconciliation.ts';
import { parseKeyRing, signRequest } from '../../shared/signature.ts';
import { TEST_KEYS } from './stand-in.ts';
import { edgeUnderTest, noOutbox } from './under-test.worker.ts';

type Edge = ReturnType<typeof edgeUnderTest>;
const refuse = () => Promise.reject(new Error('queue is full'));
const full = { send: refuse };

const counts = async (edge: Edge) =>
  ((await (await edge.fetch('/healthz')).json()) as { events: Record<string, number> }).events;

/** Signed for one path and query, sent to another where one is named. */
async function askReconciliation(edge: Edge, signed = '/v1/reconcile', sent = signed): Promise<Response> {
  const headers = await signRequest(
    parseKeyRing(TEST_KEYS),
    { method: 'POST', path: signed, body: '' },
    { nowMs: edge.isolate.clock.now(), nonce: crypto.randomUUID() },
  );
  return edge.fetch(sent, { method: 'POST', headers });
}

async function reconciled(edge: Edge): Promise<Reconciliation> {
  const response = await askReconciliation(edge);
  expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store']);
  return Reconciliation.parse(await response.json());
}

it('an impression is with the queue before its answer leaves', async () => {
  let taken = false;
  const EVENTS = {
    send: async () => {
      await edge.told();
      taken = true;
    },
  };
  const edge = edgeUnderTest({ EVENTS, EVENT_DEADLINE_MS: '20000' });
  const asked = new Request('https://edge.example/v1/ads?q=shoes');
  await answerAds(edge.isolate, asked, { requestId: crypto.randomUUID(), waitUntil: () => undefined });
  expect(taken).toBe(true);
});

describe('an event that the queue does not take', () => {
  it.each(['refuses', 'hangs'])('waits in the outbox and is stored once, when the queue %s', async (what) => {
    const held = Promise.withResolvers<void>();
    const silent = { send: () => held.promise };
    const edge = edgeUnderTest({ EVENTS: what === 'hangs' ? silent : full, EVENT_DEADLINE_MS: '20' });
    const answered = edge.ads('q=shoes');
    // The request stays for what the queue says in the end: 30 seconds, if that is nothing.
    await expect.poll(() => edge.isolate.events.counts.outboxed).toBe(1);
    held.resolve();
    const { requestId } = await answered;
    expect((await edge.told()).stored).toEqual([]);
    await edge.alarm();
    const { stored, batches } = await edge.told();
    expect(stored).toEqual([requestId]);
    expect(batches).toHaveLength(1);
    expect(edge.alarms).toEqual([]);
    expect(await counts(edge)).toMatchObject({ issued: 1, queued: 0, outboxed: 1, direct: 0, delivered: 1, failed: 0 });
    expect((await counts(edge)).late).toBe(what === 'hangs' ? 1 : 0);
  });

  it('waits for as long as the backend is away, ever more patiently, and survives the isolate', async () => {
    const edge = edgeUnderTest({ EVENTS: full });
    const { requestId } = await edge.ads('q=shoes');
    await edge.backend({ events: 'fail' });
    for (let i = 0; i < 12; i++) {
      edge.restart();
      await edge.alarm();
      expect(edge.alarms).toHaveLength(1);
    }
    await edge.backend({ events: 'ok' });
    await edge.alarm();
    expect((await edge.told()).stored).toEqual([requestId]);
    expect(edge.alarms).toEqual([]);
  });

  it('counts once when the connection breaks after the commit', async () => {
    const edge = edgeUnderTest({ EVENTS: full });
    await edge.backend({ events: 'cut' });
    const issued = [(await edge.ads('q=shoes')).requestId, (await edge.ads('q=boots')).requestId];
    await edge.alarm();
    await edge.backend({ events: 'ok' });
    await edge.alarm();
    const { stored, batches } = await edge.told();
    expect(stored.sort()).toEqual(issued.sort());
    expect(batches.flat()).toHaveLength(4);
  });

  it('leaves the outbox when the backend refuses it for good', async () => {
    const edge = edgeUnderTest({ EVENTS: full });
    const { requestId } = await edge.ads('q=shoes');
    await edge.backend({ reject: [requestId] });
    await edge.alarm();
    expect(edge.alarms).toEqual([]);
    expect(await counts(edge)).toMatchObject({ outboxed: 1, delivered: 0, rejected: 1 });
  });

  it('goes to the backend directly when the outbox fails too', async () => {
    const edge = edgeUnderTest({ EVENTS: full, OUTBOX: noOutbox });
    const { requestId } = await edge.ads('q=shoes');
    expect((await edge.told()).stored).toEqual([requestId]);
    expect(await counts(edge)).toMatchObject({ issued: 1, outboxed: 0, direct: 1, failed: 0 });
    const { ledger } = (await (await edge.fetch('/healthz')).json()) as { ledger: object };
    expect(ledger).toEqual({ noted: 0, waiting: 1, lost: 0 });
  });

  it('is counted as lost when every way fails, and the answer is given all the same', async () => {
    const edge = edgeUnderTest({ EVENTS: full, OUTBOX: noOutbox });
    await edge.backend({ events: 'fail' });
    expect((await edge.ads('q=shoes')).slots).toHaveLength(4);
    expect(await counts(edge)).toMatchObject({ issued: 1, failed: 1 });
  });
});

describe('the queue consumer', () => {
  const event = (id: string): HarnessEvent => ({
    type: 'conversion',
    id,
    atMs: 1,
    clickId: 'impression:1',
    valueMicros: 1,
  });

  /** Each message has the events of some ids, and is named after them. */
  const consumed = (edge: Edge, messages: readonly string[][], queue?: string) =>
    delivered(edge, new Map(messages.map((ids) => [ids.join('+'), JSON.stringify(ids.map(event))])), queue);

  /** Bodies by the name of their message. */
  async function delivered(edge: Edge, messages: ReadonlyMap<string, string>, queue = 'harness-events') {
    const batch = createMessageBatch<string>(
      queue,
      [...messages].map(([id, body]) => ({ id, timestamp: 1, attempts: 1, body })),
    );
    const { storeEvents, outboxes, events, onError } = edge.isolate;
    await consume(batch, {
      store: storeEvents,
      park: (parked) => outboxes.put(parked),
      counts: events.counts,
      onError,
    });
    return getQueueResult(batch, createExecutionContext());
  }

  it('stores a batch in one call and acknowledges each message', async () => {
    const edge = edgeUnderTest();
    const result = await consumed(edge, [['event-001', 'event-002'], ['event-003']]);
    expect(result.explicitAcks).toEqual(['event-001+event-002', 'event-003']);
    expect((await edge.told()).batches.map((batch) => batch.length)).toEqual([3]);
    expect(edge.isolate.events.counts).toMatchObject({ delivered: 3, rejected: 0 });
  });

  it('keeps the whole batch for later while the backend is away', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ events: 'fail' });
    const result = await consumed(edge, [['event-001', 'event-002'], ['event-003']]);
    expect(result.retryMessages.map(({ msgId }) => msgId)).toEqual(['event-001+event-002', 'event-003']);
    expect(result.explicitAcks).toEqual([]);
    expect(edge.isolate.events.counts.delivered).toBe(0);
  });

  it('does not retry what the backend refuses for good, and counts it', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ reject: ['event-002'] });
    const result = await consumed(edge, [['event-001', 'event-002'], ['event-003']]);
    expect(result.explicitAcks).toHaveLength(2);
    expect(edge.isolate.events.counts).toMatchObject({ delivered: 2, rejected: 1 });
  });

  it('is done with a message that is no list of events, and stores the others of its batch', async () => {
    const edge = edgeUnderTest();
    const bodies = { cut: '[{"type":"cli', text: '"event"', whole: JSON.stringify([event('event-001')]) };
    const result = await delivered(edge, new Map(Object.entries(bodies)));
    expect(result.explicitAcks).toEqual(['cut', 'text', 'whole']);
    expect((await edge.told()).stored).toEqual(['event-001']);
    expect(edge.isolate.events.counts).toMatchObject({ delivered: 1, rejected: 2 });
  });

  it('drains the dead letters of an outage that goes on into the outbox, which delivers them after it', async () => {
    const edge = edgeUnderTest();
    await edge.backend({ events: 'fail' });
    const ids = Array.from({ length: 250 }, (_, i) => `event-${1_000 + i}`);
    for (let at = 0; at < ids.length; at += 100) {
      const batch = ids.slice(at, at + 100).map((id) => [id]);
      expect((await consumed(edge, batch, 'harness-events-dead')).explicitAcks).toEqual(batch.flat());
    }
    await edge.alarm();
    await edge.backend({ events: 'ok' });
    await edge.alarm();
    const { stored } = await edge.told();
    expect(stored).toEqual(ids);
    expect(edge.alarms).toEqual([]);
  });
});

describe('reconciliation', () => {
  it('finds every issued id among the rows, and names the one that is missing', async () => {
    const edge = edgeUnderTest();
    const answers = [await edge.ads('q=a'), await edge.ads('q=b'), await edge.ads('q=c')];
    const issued = answers.map(({ requestId }) => requestId);
    const young = await reconciled(edge);
    expect(young).toMatchObject({ minutes: [], missing: [], recent: 3, waiting: 0 });

    // What the queue held of them reaches the backend, but one.
    await edge.isolate.storeEvents(edge.queued.filter(({ id }) => id !== issued[1]));
    edge.later(300);
    const first = await reconciled(edge);
    expect(first.missing).toEqual([{ id: issued[1], minute: first.missing[0]!.minute, checks: 1 }]);
    expect(first.recent).toBe(0);
    expect(total(first)).toEqual({ issued: 3, stored: 2, missing: 1 });
    expect((await edge.told()).lost).toEqual([]);
    expect((await reconciled(edge)).missing).toMatchObject([{ id: issued[1], checks: 2 }]);
    // Looked for twice in vain: the backend is told which arms have lost it, once.
    const { assignments } = answers[1]!;
    expect(assignments.length).toBeGreaterThan(0);
    const lost = assignments.map(({ experiment, arm }) => `${issued[1]} ${experiment}/${arm}`);
    expect((await edge.told()).lost).toEqual(lost);
    await reconciled(edge);
    expect((await edge.told()).lost).toEqual(lost);

    await edge.isolate.storeEvents(edge.queued);
    const last = await reconciled(edge);
    expect(last.missing).toEqual([]);
    expect(total(last)).toEqual({ issued: 3, stored: 3, missing: 0 });
    edge.later(25 * 3_600);
    expect((await reconciled(edge)).minutes).toEqual([]);
  });

  it('says what waits in the outbox, and names nothing while the backend cannot be asked', async () => {
    const edge = edgeUnderTest({ EVENTS: full });
    await edge.ads('q=a');
    expect(await reconciled(edge)).toMatchObject({ missing: [], recent: 1, waiting: 1 });
    await edge.backend({ events: 'fail' });
    edge.later(300);
    await expect(edge.isolate.outboxes.reconcile()).rejects.toMatchObject({ code: 'backend_unavailable' });
    await edge.alarm();
    await edge.backend({ events: 'ok' });
    await edge.alarm();
    expect(await reconciled(edge)).toMatchObject({ missing: [], recent: 0, waiting: 0 });
  });

  it('is told to those with a key only', async () => {
    const edge = edgeUnderTest();
    expect((await edge.problem('/v1/reconcile', { method: 'POST' })).code).toBe('unauthorized');
    const forged = await signRequest(
      parseKeyRing('test:another-secret-of-16'),
      { method: 'POST', path: '/v1/reconcile', body: '' },
      { nowMs: Date.now(), nonce: crypto.randomUUID() },
    );
    expect((await edge.problem('/v1/reconcile', { method: 'POST', headers: forged })).code).toBe('unauthorized');
    // The query is a part of what is signed.
    expect((await askReconciliation(edge, '/v1/reconcile?a=1')).status).toBe(200);
    expect((await askReconciliation(edge, '/v1/reconcile', '/v1/reconcile?a=1')).status).toBe(401);
  });

  it('is made by the schedule too, which a backend that is away does not stop', async () => {
    const edge = edgeUnderTest();
    await edge.ads('q=a');
    edge.later(300);
    const said: string[] = [];
    const isolate = { ...edge.isolate, onError: (message: string) => void said.push(message) };
    await edge.backend({ events: 'fail' });
    await reconcileOnSchedule(isolate);
    expect(said).toEqual(['issued and stored events could not be compared']);
    await edge.backend({ events: 'ok' });
    await reconcileOnSchedule(isolate);
    expect(said).toHaveLength(1);
    expect((await reconciled(edge)).missing).toMatchObject([{ checks: 2 }]);
  });
});

function total({ minutes }: Reconciliation) {
  const sum = (of: 'issued' | 'stored' | 'missing') => minutes.reduce((all, minute) => all + minute[of], 0);
  return { issued: sum('issued'), stored: sum('stored'), missing: sum('missing') };
}
