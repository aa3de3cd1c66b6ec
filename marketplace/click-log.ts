/** Clicks of the past, for training: what an older retriever showed for each query of the log, and what people clicked. */
import type { CatalogueAd } from './catalogue.ts';
import type { Query } from './queries.ts';
import type { Random } from './random.ts';
import type { Grade, Relevance } from './relevance.ts';
import type { HeldOut } from './splits.ts';
import { clickProbability } from './users.ts';

/** Impressions and clicks of one ad under one query. */
export interface ClickCount {
  readonly queryId: string;
  readonly adId: string;
  readonly impressions: number;
  readonly clicks: number;
}

const SLOTS = 4;
/** How much the older retriever erred: deviation of the noise on a grade. */
const RANKING_NOISE = 1.2;
const MOST_IMPRESSIONS = 2_000;

/** Simulates the log. Ads of held-out concepts never appear in it. */
export function simulateClicks(
  options: {
    queries: readonly Query[];
    relevance: Relevance;
    catalogue: readonly CatalogueAd[];
    heldOut: HeldOut;
  },
  random: Random,
): ClickCount[] {
  const { relevance, heldOut } = options;
  const shown = options.catalogue.filter(({ ad, conceptId }) => ad.status === 'active' && !heldOut.has(conceptId));
  const log: ClickCount[] = [];
  for (const query of options.queries) {
    const judged = relevance.judge(query.intent, query.market).filter(({ item }) => !heldOut.has(item.conceptId));
    const candidates = new Map<string, Grade>();
    for (const { item, grade } of random.sample(judged, SLOTS * 2)) candidates.set(item.ad.id, grade);
    for (let i = 0; i < 2; i++) {
      const { ad } = random.pick(shown);
      if (ad.markets.includes(query.market) && !candidates.has(ad.id))
        candidates.set(ad.id, relevance.grade(query.intent, ad.id));
    }
    const ranking = [...candidates]
      .map(([adId, grade]) => ({ adId, grade, score: grade + RANKING_NOISE * random.normal() }))
      .sort((a, b) => b.score - a.score)
      .slice(0, SLOTS);
    const impressions = Math.min(MOST_IMPRESSIONS, query.frequency);
    for (const [i, { adId, grade }] of ranking.entries()) {
      const clicks = binomial(impressions, clickProbability(grade, i + 1), random);
      log.push({ queryId: query.id, adId, impressions, clicks });
    }
  }
  return log;
}

/** Binomial deviate: drawn one by one while that is cheap, by the normal approximation beyond. */
function binomial(trials: number, probability: number, random: Random): number {
  if (trials <= 60) {
    let hits = 0;
    for (let i = 0; i < trials; i++) if (random.chance(probability)) hits++;
    return hits;
  }
  const deviation = Math.sqrt(trials * probability * (1 - probability));
  return Math.min(trials, Math.max(0, Math.round(trials * probability + deviation * random.normal())));
}
