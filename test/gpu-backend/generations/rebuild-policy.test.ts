import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  decide,
  due,
  type RebuildBounds,
  type RebuildFacts,
  restMs,
} from '../../../gpu-backend/generations/rebuild-policy.ts';

const BOUNDS: RebuildBounds = { share: 0.1, minAds: 100, quietMs: 30_000, maxWaitMs: 900_000 };
const DUE: RebuildFacts = {
  ...{ nowMs: 10_000_000, ads: 1_000, added: 100, vacant: 0, broughtBack: false, standsIn: false },
  ...{ dueSinceMs: 9_990_000, changedAtMs: 0 },
};

const count = fc.nat(100_000);
const time = fc.nat(10_000_000);
const bounds: fc.Arbitrary<RebuildBounds> = fc.record({
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  minAds: fc.integer({ min: 1, max: 1_000 }),
  quietMs: fc.nat(1_000_000),
  maxWaitMs: fc.nat(1_000_000),
});
const last = fc.record({ endedAtMs: time, tookMs: fc.nat(1_000_000), failures: fc.nat(40) });
const facts: fc.Arbitrary<RebuildFacts> = fc.record({
  nowMs: time,
  ads: count,
  added: count,
  vacant: count,
  broughtBack: fc.boolean(),
  standsIn: fc.boolean(),
  dueSinceMs: fc.option(time, { nil: undefined }),
  changedAtMs: time,
  last: fc.option(last, { nil: undefined }),
  keptOutAtMs: fc.option(time, { nil: undefined }),
});

it.each([
  ['a tenth of the ads is new', {}, { do: 'build', because: 'added' }],
  ['a tenth of the places is vacant', { added: 0, ads: 900, vacant: 100 }, { do: 'build', because: 'gone' }],
  ['a little less is', { added: 99, ads: 901, vacant: 99 }, { do: 'wait', because: 'fresh' }],
  ['a tenth of the ads is vacant, of all places less', { added: 0, vacant: 109 }, { do: 'wait', because: 'fresh' }],
  ['a tenth is few', { ads: 100, added: 99 }, { do: 'wait', because: 'fresh' }],
  ['all ads have gone', { ads: 0, added: 0, vacant: 5_000 }, { do: 'wait', because: 'fresh' }],
  ['an operator rolled back', { broughtBack: true }, { do: 'wait', because: 'brought back' }],
  ['an old one stands in for one that is damaged', { added: 0, standsIn: true }, { do: 'build', because: 'damaged' }],
  ['ads came just now', { changedAtMs: 9_999_000 }, { do: 'wait', because: 'ads are coming' }],
  ['they never stop', { changedAtMs: 9_999_000, dueSinceMs: 9_100_000 }, { do: 'build', because: 'added' }],
  [
    'the last build took long',
    { last: { endedAtMs: 9_000_000, tookMs: 1_100_000, failures: 0 } },
    { do: 'wait', because: 'resting' },
  ],
  ['the last failed', { last: { endedAtMs: 9_950_000, tookMs: 1, failures: 1 } }, { do: 'wait', because: 'failed' }],
  ['another is at it', { keptOutAtMs: 9_999_000 }, { do: 'wait', because: 'another publishes' }],
] as const)('when %s', (_, change, expected) => {
  expect(decide({ ...DUE, ...change }, BOUNDS)).toEqual(expected);
});

it('never builds below the bounds, after a rollback, while resting, or in the middle of a load before the longest wait', () => {
  fc.assert(
    fc.property(facts, bounds, (given, limits) => {
      if (decide(given, limits).do !== 'build') return;
      const { share, minAds, quietMs, maxWaitMs } = limits;
      const { ads, added, vacant, nowMs, changedAtMs, dueSinceMs = nowMs, last } = given;
      expect(share).toBeGreaterThan(0);
      if (!given.standsIn) {
        expect(Math.max(added, vacant)).toBeGreaterThanOrEqual(minAds);
        expect(Math.max(added / ads, vacant / (ads + vacant))).toBeGreaterThanOrEqual(share * (1 - 1e-12));
      }
      expect(given.broughtBack).toBe(false);
      if (last !== undefined) expect(nowMs - last.endedAtMs).toBeGreaterThanOrEqual(last.tookMs);
      expect(nowMs - changedAtMs >= quietMs || nowMs - dueSinceMs >= maxWaitMs).toBe(true);
    }),
    { seed: 1 },
  );
});

it('builds what is due in the end, whatever keeps coming and however often it failed', () => {
  fc.assert(
    fc.property(facts, bounds, (given, limits) => {
      const stale = { ...given, broughtBack: false, dueSinceMs: given.nowMs };
      const later = given.nowMs + 10_000_000 + 6 * 3_600_000;
      const decision = decide({ ...stale, nowMs: later, changedAtMs: later }, limits);
      const because = due(stale, limits);
      expect(decision).toEqual(because === undefined ? { do: 'wait', because: 'fresh' } : { do: 'build', because });
    }),
    { seed: 2 },
  );
});

it('is not due for fewer changes when it is not for more', () => {
  fc.assert(
    fc.property(facts, bounds, count, (given, limits, fewer) => {
      if (due(given, limits) !== undefined) return;
      expect(due({ ...given, added: Math.min(given.added, fewer) }, limits)).toBeUndefined();
      expect(due({ ...given, vacant: Math.min(given.vacant, fewer) }, limits)).toBeUndefined();
    }),
    { seed: 3 },
  );
});

it('rests as long as a build took, after failures a minute and twice as long each time', () => {
  const rests = [0, 1, 2, 3, 4].map((failures) => restMs({ tookMs: 5, failures }));
  expect(rests).toEqual([5, 60_000, 120_000, 240_000, 480_000]);
  expect(restMs({ tookMs: 100_000, failures: 1 })).toBe(100_000);
});

it('rests longer after each failure, six hours at most beyond what a build takes', () => {
  fc.assert(
    fc.property(fc.nat(1e9), fc.integer({ min: 1, max: 1_000 }), (tookMs, failures) => {
      const rest = restMs({ tookMs, failures });
      expect(rest).toBeLessThanOrEqual(restMs({ tookMs, failures: failures + 1 }));
      expect(rest).toBeLessThanOrEqual(Math.max(tookMs, 6 * 3_600_000));
      expect(rest).toBeGreaterThanOrEqual(Math.max(tookMs, 60_000));
    }),
    { seed: 4 },
  );
});
