import { describe, expect, it } from 'vitest';
import { activityAt, BUSIEST } from '../../marketplace/day-curve.ts';
import { DEPARTMENTS } from '../../marketplace/departments.ts';
import { createRandom } from '../../marketplace/random.ts';
import { type SessionOptions, sessionsFrom, takeSearches, takeUntil } from '../../marketplace/sessions.ts';
import { createUsers } from '../../marketplace/users.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { tinyMarket } from '../fixtures/tiny-market.ts';

const FROM_MS = Date.UTC(2026, 5, 1);
const DAY_MS = 86_400_000;

function sessions(seed: number, options: Partial<SessionOptions> = {}) {
  const departments = DEPARTMENTS.map(({ key }) => key);
  const users = createUsers({ count: 50, markets: DEFAULT_CONFIG.markets, departments }, createRandom(seed, 'users'));
  const market = tinyMarket();
  return sessionsFrom(
    { market, users, fromMs: FROM_MS, searchesADay: 1_000, ...options },
    createRandom(seed, 'sessions'),
  );
}

const count = (list: Iterable<{ queries: readonly unknown[] }>) =>
  [...list].reduce((sum, { queries }) => sum + queries.length, 0);

describe('sessions', () => {
  it('have exactly the searches asked for, the same for a seed', () => {
    const plan = (seed: number) => [...takeSearches(sessions(seed), 1_000)];
    expect(count(plan(1))).toBe(1_000);
    expect(plan(1)).toEqual(plan(1));
    expect(plan(1)).not.toEqual(plan(2));
  });

  it('are in the market of the person, in order of time', () => {
    let before = FROM_MS;
    for (const { person, queries, atMs } of takeSearches(sessions(1, { crawlers: 0.2 }), 2_000)) {
      expect(queries.every(({ market }) => market === person.market)).toBe(true);
      expect(atMs).toBeGreaterThanOrEqual(before);
      before = atMs;
    }
  });

  it('follow frequencies and habits', () => {
    const first = [...takeSearches(sessions(3), 1_000)].map(({ person, queries }) => ({
      interests: 'interests' in person ? person.interests : [],
      department: queries[0]!.conceptId.slice(2),
    }));
    const habitual = first.filter(({ interests, department }) => interests.includes(department));
    expect(habitual.length / first.length).toBeGreaterThan(0.5);
  });

  it('come at the rate asked for, most in the evening of their market, whatever crawlers do', () => {
    for (const crawlers of [0, 0.3]) {
      const week = [...takeUntil(sessions(1, { crawlers, searchesADay: 5_000 }), FROM_MS + 7 * DAY_MS)];
      expect(count(week) / 35_000).toBeGreaterThan(0.9);
      expect(count(week) / 35_000).toBeLessThan(1.1);
      const crawled = count(week.filter(({ person }) => person.kind !== 'person'));
      expect(crawled / count(week)).toBeGreaterThan(crawlers - 0.04);
      expect(crawled / count(week)).toBeLessThan(crawlers + 0.04);
      const british = week.filter(({ person }) => person.market === 'gb' && person.kind === 'person');
      const hours = british.map(({ atMs }) => new Date(atMs).getUTCHours());
      const within = (from: number, to: number) => hours.filter((hour) => hour >= from && hour < to).length;
      expect(within(18, 22)).toBeGreaterThan(5 * within(1, 5));
    }
  });
});

describe('the day curve', () => {
  it('has a mean of 1 over a week in every market, and a greatest value', () => {
    for (const market of DEFAULT_CONFIG.markets) {
      const hours = Array.from({ length: 168 }, (_, hour) => activityAt(market, FROM_MS + hour * 3_600_000));
      expect(hours.reduce((sum, value) => sum + value, 0) / 168).toBeCloseTo(1, 10);
      expect(Math.max(...hours)).toBeCloseTo(BUSIEST, 10);
    }
  });
});
