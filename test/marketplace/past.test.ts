import { describe, expect, it } from 'vitest';
import { type PastOptions, simulatePast } from '../../marketplace/past.ts';
import { parseEffect } from '../../marketplace/true-effect.ts';
import { HarnessEvent } from '../../shared/contract/events.ts';
import { bookedMarket } from '../fixtures/tiny-market.ts';

const UNTIL_MS = Date.UTC(2026, 5, 15);
const DAY_MS = 86_400_000;

async function past(options: Partial<PastOptions> = {}) {
  const events: HarnessEvent[] = [];
  const summary = await simulatePast({
    queries: 1_000,
    users: 150,
    days: 7,
    untilMs: UNTIL_MS,
    market: bookedMarket(),
    store: async (batch) => void events.push(...batch),
    ...options,
  });
  return { summary: { ...summary, seconds: 0 }, events };
}

const ofType = (events: readonly HarnessEvent[], type: string) => events.filter((event) => event.type === type);

describe('past days', () => {
  it('are events of the contract within the days, the same for the same options', async () => {
    const { summary, events } = await past({ crawlers: 0.1 });
    for (const event of events) expect(HarnessEvent.parse(event)).toEqual(event);
    const times = events.map(({ atMs }) => atMs);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(UNTIL_MS - 7 * DAY_MS);
    // The last visit begins before the end and may go on for minutes.
    expect(Math.max(...times)).toBeLessThan(UNTIL_MS + 3_600_000);
    expect(new Set(times.map((atMs) => Math.floor(atMs / DAY_MS))).size).toBe(7);
    expect(await past({ crawlers: 0.1 })).toEqual({ summary, events });
    expect((await past({ seed: 2 })).events).not.toEqual(events);
  });

  it('are counted as they are stored', async () => {
    const { summary, events } = await past({ crawlers: 0.1 });
    const shown = ofType(events, 'impression') as Extract<HarnessEvent, { type: 'impression' }>[];
    expect(summary.answers).toBe(shown.filter(({ bot }) => !bot).length);
    expect(summary.crawled).toBe(shown.filter(({ bot }) => bot).length);
    expect(summary.conversions).toBe(ofType(events, 'conversion').length);
    const clicks = ofType(events, 'click') as Extract<HarnessEvent, { type: 'click' }>[];
    expect(summary.clicks).toBe(new Set(clicks.filter(({ bot }) => !bot).map(({ id }) => id)).size);
    expect(summary.events).toBe(events.length);
    // An arm for life.
    const arms = Map.groupBy(shown, ({ unitId }) => unitId);
    for (const seen of arms.values()) expect(new Set(seen.map(({ assignments }) => assignments[0]!.arm)).size).toBe(1);
  });

  it('have purchases that come later than their clicks, some by a day', async () => {
    const { summary, events } = await past({ queries: 4_000, effect: parseEffect(['conversions=+900%'], 'treatment') });
    const clickedMs = new Map(ofType(events, 'click').map(({ id, atMs }) => [id, atMs]));
    const delays = events.flatMap((event) =>
      event.type === 'conversion' ? [event.atMs - clickedMs.get(event.clickId)!] : [],
    );
    expect(Math.min(...delays)).toBeGreaterThan(0);
    expect(Math.max(...delays)).toBeGreaterThan(DAY_MS / 2);
    expect(summary.unreported).toBeGreaterThan(0);
  });

  it('have budgets that run out, and are there again the next day', async () => {
    const { summary, events } = await past({ budgets: 0.3 });
    expect(summary.exhaustedBudgets).toBeGreaterThan(0);
    expect((await past({ budgets: 100 })).summary.exhaustedBudgets).toBe(0);
    const spent = new Map<string, number>();
    const counted = new Set<string>();
    for (const event of events) {
      if (event.type !== 'click' || counted.has(event.id)) continue;
      counted.add(event.id);
      const key = `${event.adId} ${Math.floor(event.atMs / DAY_MS)}`;
      spent.set(key, (spent.get(key) ?? 0) + event.chargeMicros);
    }
    // A click may overspend, never by more than its price; those of one page come together.
    for (const micros of spent.values()) expect(micros).toBeLessThan(300_000 + 2 * 600_000);
    expect(
      new Set([...spent].filter(([, micros]) => micros > 300_000).map(([key]) => key.split(' ')[1])).size,
    ).toBeGreaterThan(1);
  });
});
