/**
 * Sends visits through an edge in the order of their times, so many at once: searches, clicks immediately, purchases
 * when they are due. Visits of one person wait for each other, since a person has one cookie jar.
 */
import type { AdsResponse } from '../shared/contract/query-route.ts';
import { type LateOrder, LateOrders } from './late-orders.ts';
import { FLAT_OUT, type Pace } from './pace.ts';
import { createTally, type TrafficSummary } from './traffic-counts.ts';
import type { Person } from './users.ts';
import type { EdgeClient } from './visitor.ts';
import type { Click, Search, Visit } from './visits.ts';

export interface SendOptions {
  readonly visits: Iterable<Visit>;
  /** Somebody's way to the edge; asked for once a person. */
  readonly connect: (person: Person) => EdgeClient;
  /** Experiment whose arms the summary tells apart. */
  readonly experiment: string;
  /** Visits in flight. */
  readonly concurrency: number;
  readonly pace?: Pace;
  /** Purchases from this simulated instant on are not reported. */
  readonly untilMs?: number;
  /** Stops the traffic: visits in flight are finished, purchases that are still to come are not reported. */
  readonly signal?: AbortSignal;
  /** Called after each planned search. */
  readonly onProgress?: (done: number) => void;
  /** Called with each answer and what it was met with. */
  readonly onAnswer?: (answer: AdsResponse, met: SearchMet) => void;
}

/** A search as it was made. */
export interface SearchMet {
  readonly atMs: number;
  readonly person: Person;
  readonly search: Search;
  readonly clicks: readonly Click[];
}

/** Simulated time between two searches of a visit, and from an answer to the click on its first slot. */
const BETWEEN_SEARCHES_MS = 20_000;
const BEFORE_CLICK_MS = 4_000;

/** Resolves when all is sent, or when it was stopped and what was in flight is done. */
export async function sendTraffic(options: SendOptions): Promise<TrafficSummary> {
  const { visits, connect, concurrency, pace = FLAT_OUT, untilMs = Number.POSITIVE_INFINITY } = options;
  const { signal, onProgress, onAnswer } = options;
  const tally = createTally(options.experiment);
  const orders = new LateOrders();
  const clients = new Map<string, EdgeClient>();
  let requests = 0;
  let done = 0;
  const people = new Set<string>();
  const startedAt = performance.now();

  async function visitEdge(visit: Visit, client: EdgeClient): Promise<void> {
    const searches = visit.searches();
    let answer: AdsResponse | undefined;
    for (let i = 0; ; i++) {
      const { value: search, done: over } = searches.next(answer);
      if (over) return;
      const atMs = visit.atMs + i * BETWEEN_SEARCHES_MS;
      const outcome = await client.search(search.text, atMs);
      requests++;
      answer = outcome.answer;
      if (answer === undefined) tally.refuse(outcome.status);
      else await react({ visit, client, search, answer, atMs });
      if (i < visit.planned) onProgress?.(++done);
    }
  }

  async function react(met: { visit: Visit; client: EdgeClient; search: Search; answer: AdsResponse; atMs: number }) {
    const { visit, client, search, answer, atMs } = met;
    const clicks = search.react(answer);
    onAnswer?.(answer, { atMs, person: visit.person, search, clicks });
    const counts = visit.person.kind === 'crawler' ? undefined : tally.answered(answer);
    if (counts === undefined) tally.crawled();
    for (const { adId } of answer.slots) counts?.shown(search.isRelevant?.(adId) ?? false);
    for (const { position, times, order } of clicks) {
      const slot = answer.slots.find((each) => each.position === position);
      if (slot === undefined) continue;
      const clickMs = atMs + position * BEFORE_CLICK_MS;
      let clickId: string | undefined;
      for (let k = 0; k < times; k++) clickId = await client.click(slot.clickUrl, clickMs + k * 300);
      if (clickId === undefined) tally.refuseClick();
      else counts?.clicked();
      if (clickId === undefined || order === undefined) continue;
      const { valueMicros } = order;
      orders.add({
        atMs: clickMs + order.afterMs,
        conversion: { clickId, orderId: `order-${answer.requestId}-${position}`.slice(0, 64), valueMicros },
        client,
        reported: (accepted) => (accepted ? counts?.converted(valueMicros) : tally.refuseConversion()),
      });
    }
  }

  /** Visits and purchases as their time comes. */
  async function* due(): AsyncGenerator<Visit | LateOrder, void> {
    for (const visit of visits) {
      for (let order = orders.take(visit.atMs); order !== undefined; order = orders.take(visit.atMs)) {
        await pace.until(order.atMs);
        if (signal?.aborted) return orders.add(order);
        yield order;
      }
      await pace.until(visit.atMs);
      if (signal?.aborted) return;
      yield visit;
    }
  }

  const report = async ({ atMs, client, conversion, reported }: LateOrder) =>
    reported(await client.convert(conversion, atMs));
  const lastOf = new Map<string, Promise<void>>();
  const stream = due();
  const worker = async () => {
    for await (const next of stream) {
      if (!('person' in next)) {
        await report(next);
        continue;
      }
      const { id, kind } = next.person;
      if (kind === 'person') people.add(id);
      const client = clients.get(id) ?? connect(next.person);
      clients.set(id, client);
      const turn = (lastOf.get(id) ?? Promise.resolve()).then(() => visitEdge(next, client));
      lastOf.set(id, turn);
      await turn;
      if (lastOf.get(id) === turn) lastOf.delete(id);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, concurrency) }, worker));
  // What people will still buy is reported at once: nobody waits a week for the end.
  for (let order = orders.take(untilMs); order !== undefined; order = orders.take(untilMs)) {
    if (signal?.aborted) {
      orders.add(order);
      break;
    }
    await report(order);
  }
  return tally.summary({
    requests,
    users: people.size,
    seconds: (performance.now() - startedAt) / 1_000,
    unreported: orders.size,
  });
}
