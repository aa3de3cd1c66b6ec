import { describe, expect, it } from 'vitest';
import { createRandom } from '../../marketplace/random.ts';
import { parseEffect, type TrueEffect } from '../../marketplace/true-effect.ts';
import type { User } from '../../marketplace/users.ts';
import { visitOf } from '../../marketplace/visits.ts';
import type { AdsResponse } from '../../shared/contract/query-route.ts';
import { tinyMarket } from '../fixtures/tiny-market.ts';

const market = tinyMarket();
const person: User = {
  id: 'anna',
  kind: 'person',
  market: 'us',
  device: 'desktop',
  interests: [],
  eagerness: 1,
  activity: 1,
};

/** An answer with the ad of the concept on top, in an arm. */
const answerIn = (arm: string, conceptId: string) =>
  ({
    requestId: 'request',
    assignments: [{ experiment: 'test', layer: 'test', arm }],
    slots: [`ad-${conceptId}`, 'other'].map((adId, i) => ({ position: i + 1, adId })),
  }) as AdsResponse;

/** What `visits` visits of two searches come to in an arm. */
function count(arm: string, effect: TrueEffect, { kind = person.kind as string, visits = 4_000 } = {}) {
  const [query] = market.queries.train;
  const random = createRandom(1, 'visits');
  const sums = { searches: 0, clicks: 0, orders: 0 };
  for (let i = 0; i < visits; i++) {
    const session = { atMs: 0, person: { ...person, kind } as User, queries: [query!, query!] };
    const searches = visitOf(session, { market, experiment: 'test', effect }, random.fork(String(i))).searches();
    let answer: AdsResponse | undefined;
    for (let next = searches.next(answer); !next.done; next = searches.next(answer)) {
      answer = answerIn(arm, query!.conceptId);
      const clicks = next.value.react(answer);
      sums.searches++;
      sums.clicks += clicks.length;
      sums.orders += clicks.filter(({ order }) => order !== undefined).length;
    }
  }
  return sums;
}

describe('a visit', () => {
  it('has the effect that was set, in the arm that it was set for', () => {
    const effect = parseEffect(['queries=+30%', 'clicks=+60%', 'conversions=+140%'], 'b');
    const [a, b] = [count('a', effect), count('b', effect)];
    expect(b.searches / a.searches).toBeCloseTo(1.3, 1);
    expect(b.clicks / a.clicks).toBeCloseTo(1.6, 1);
    // A few hundred purchases: the ratio is known to about a tenth.
    expect(b.orders / a.orders).toBeGreaterThan(1.9);
    expect(b.orders / a.orders).toBeLessThan(3);
  });

  it('lets crawlers follow links, whatever the arm, and buy nothing', () => {
    const effect = parseEffect(['clicks=+60%'], 'b');
    const [a, b] = ['a', 'b'].map((arm) => count(arm, effect, { kind: 'hidden crawler', visits: 500 }));
    expect(a).toEqual(b);
    expect(a!.clicks).toBeGreaterThan(0);
    expect(a!.orders).toBe(0);
  });
});
