/** Events as an edge logs them: a page of four ads a query, an experiment, one click in eight pages, one order in ten clicks. */
import type { ClickEvent, ConversionEvent, HarnessEvent, ImpressionEvent } from '../../shared/contract/events.ts';

const START_MS = Date.UTC(2026, 0, 15);

/** A page's events; `id` is as long as the edge's. */
export function pageEvents(i: number, id: string = crypto.randomUUID()): HarnessEvent[] {
  const atMs = START_MS + 37 * i;
  const impression: ImpressionEvent = {
    type: 'impression',
    id,
    atMs,
    unitId: (i % 5_000).toString(16).padStart(32, 'a'),
    bot: false,
    consent: true,
    device: 'mobile',
    colo: 'FRA',
    market: 'us',
    locale: 'en-US',
    query: `cheap red running shoes ${i % 3_000}`,
    assignments: [{ experiment: 'student-retrieval', layer: 'retrieval', arm: i % 2 === 0 ? 'control' : 'treatment' }],
    planFingerprint: '0123456789abcdef'.repeat(2),
    configVersion: 12,
    generation: 3,
    model: 'default',
    cache: { status: 'miss', ageMs: 0 },
    rung: 'fresh',
    slots: [1, 2, 3, 4].map((position) => ({
      position,
      adId: `ad-${(7 * i + position) % 10_000}`,
      relevance: 0.913422,
      priceMicros: 500_000 + position,
      retrievers: ['dense', 'lexical'],
    })),
    timings: { totalMs: 7.5, backendMs: 6.25, encodeMs: 2, searchMs: 1.5 },
  };
  if (i % 8 !== 0) return [impression];
  const click: ClickEvent = {
    type: 'click',
    id: `${id}:1`,
    atMs: atMs + 2_000,
    impressionId: id,
    adId: impression.slots[0]!.adId,
    position: 1,
    chargeMicros: 500_000,
    bot: false,
  };
  if (i % 80 !== 0) return [impression, click];
  const conversion: ConversionEvent = {
    type: 'conversion',
    id: `order-${id}`,
    clickId: click.id,
    atMs: atMs + 60_000,
    valueMicros: 30_000_000,
  };
  return [impression, click, conversion];
}

/** The list in pieces of a size. */
export function pieces<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

/** Calls for every item, at most `flights` at once. */
export async function inFlight<T>(
  list: readonly T[],
  flights: number,
  call: (item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const flight = async () => {
    while (next < list.length) await call(list[next++]!);
  };
  await Promise.all(Array.from({ length: flights }, flight));
}
