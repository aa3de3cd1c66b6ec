/** Valid contract objects for tests, with fields to override. */
import type { Ad } from '../../shared/contract/ads.ts';
import type { ClickEvent, ConversionEvent, ImpressionEvent } from '../../shared/contract/events.ts';
import type { Experiment } from '../../shared/experiment.ts';

export const AT_MS = Date.UTC(2026, 0, 15, 12);

export function sampleAd(change: Partial<Ad> = {}): Ad {
  return {
    id: 'ad-1',
    advertiserId: 'advertiser-1',
    campaignId: 'campaign-1',
    title: 'Trail running shoes',
    description: 'Light, grippy and dry.',
    displayUrl: 'shoes.example/trail',
    landingUrl: 'https://shoes.example/trail?x=1',
    keywords: [{ text: 'running shoes', match: 'phrase' }],
    markets: ['us', 'gb'],
    bidMicros: 1_250_000,
    dailyBudgetMicros: 50_000_000,
    status: 'active',
    ...change,
  };
}

export function sampleImpression(change: Partial<ImpressionEvent> = {}): ImpressionEvent {
  return {
    type: 'impression',
    id: 'impression-1',
    atMs: AT_MS,
    unitId: 'unit-1',
    bot: false,
    market: 'us',
    locale: 'en-US',
    query: 'running shoes',
    assignments: [{ experiment: 'student-retrieval', layer: 'retrieval', arm: 'treatment' }],
    planFingerprint: '0'.repeat(32),
    configVersion: 1,
    generation: 1,
    model: 'default',
    cache: { status: 'miss', ageMs: 0 },
    rung: 'fresh',
    slots: [{ position: 1, adId: 'ad-1', relevance: 0.9, priceMicros: 500_000, retrievers: ['dense', 'lexical'] }],
    timings: { totalMs: 7.5, backendMs: 6.25, encodeMs: 2, searchMs: 1.5 },
    ...change,
  };
}

export function sampleClick(change: Partial<ClickEvent> = {}): ClickEvent {
  return {
    type: 'click',
    id: 'impression-1:1',
    atMs: AT_MS + 2_000,
    impressionId: 'impression-1',
    adId: 'ad-1',
    position: 1,
    chargeMicros: 500_000,
    bot: false,
    ...change,
  };
}

/** The click, now unless it says when, and another one like it a day later: whichever of the two days the database has when it is asked, it has a click. */
export function clickOnBothDays(change: Partial<ClickEvent> = {}): ClickEvent[] {
  const click = sampleClick({ atMs: Date.now(), ...change });
  return [click, { ...click, id: `${click.id}:next`, atMs: click.atMs + 86_400_000 }];
}

export function sampleConversion(change: Partial<ConversionEvent> = {}): ConversionEvent {
  return {
    type: 'conversion',
    id: 'order-0001',
    atMs: AT_MS + 60_000,
    clickId: 'impression-1:1',
    valueMicros: 30_000_000,
    ...change,
  };
}

export function sampleExperiment(change: Partial<Experiment> = {}): Experiment {
  return {
    key: 'threshold',
    layer: 'ranking',
    description: 'A lower relevance threshold.',
    status: 'running',
    buckets: [0, 5_000],
    control: 'control',
    arms: [
      { key: 'control', weight: 1, parameters: {} },
      { key: 'lower', weight: 1, parameters: { minRelevance: 0.1 } },
    ],
    ...change,
  };
}
