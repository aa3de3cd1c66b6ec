/** Runs in Node and in workerd. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auction } from '../../shared/auction.ts';
import { interleave } from '../../shared/interleave.ts';

const ranking = (ids: string, relevance = 0.5) =>
  [...ids].map((adId) => ({ adId, advertiserId: adId, bidMicros: 100_000, relevance }));
const draft = (a: string, b: string, seed: string, length = 100) =>
  interleave([ranking(a), ranking(b)], { length, seed })
    .map(({ candidate, team }) => `${candidate.adId}${team}`)
    .join(' ');
/** The drafts that any seed can lead to. */
const drafts = (a: string, b: string, length?: number) =>
  [...new Set(Array.from({ length: 200 }, (_, i) => draft(a, b, `seed-${i}`, length)))].sort();

describe('worked by hand', () => {
  it.each<[name: string, a: string, b: string, length: number | undefined, drafts: string[]]>([
    ['two coins, four drafts', 'abcd', 'wxyz', 4, ['a0 w1 b0 x1', 'a0 w1 x1 b0', 'w1 a0 b0 x1', 'w1 a0 x1 b0']],
    // Both want a; whoever has it, the other's best is then b or c.
    ['the same best', 'ab', 'ac', undefined, ['a0 c1 b0', 'a1 b0 c1']],
    ['one list twice', 'abc', 'abc', 2, ['a0 b1', 'a1 b0']],
    ['an odd length ends in the middle of a round', 'ab', 'xy', 1, ['a0', 'x1']],
    ['a team with nothing left passes', 'a', 'xyz', undefined, ['a0 x1 y1 z1', 'x1 a0 y1 z1']],
    ['a team without candidates', '', 'xy', undefined, ['x1 y1']],
    ['nothing at all', '', '', undefined, ['']],
  ])('%s', (_, a, b, length, expected) => {
    const found = drafts(a, b, length);
    expect(found).toEqual(expected);
  });

  it('gives a candidate of both rankings its mean relevance, whoever picks it, and the others their own', () => {
    for (const seed of ['1', '2', '3', '4']) {
      const found = interleave([ranking('ab', 0.2), ranking('bc', 0.8)], { length: 3, seed });
      const relevance = Object.fromEntries(found.map(({ candidate }) => [candidate.adId, candidate.relevance]));
      expect(relevance).toEqual({ a: 0.2, b: 0.5, c: 0.8 });
    }
  });
});

const list = fc.shuffledSubarray([...'abcdefghij']).map((ids) => ids.join(''));

it('takes every candidate once, in the order of the team that picked it, and no team is ahead by two while both can pick', () => {
  fc.assert(
    fc.property(list, list, fc.nat(12), fc.string(), (a, b, length, seed) => {
      const found = interleave([ranking(a), ranking(b)], { length, seed });
      expect(found).toHaveLength(Math.min(length, new Set(a + b).size));
      expect(new Set(found.map(({ candidate }) => candidate.adId)).size).toBe(found.length);
      for (const team of [0, 1] as const) {
        const own = found.filter((each) => each.team === team).map(({ candidate }) => candidate.adId);
        expect(own).toEqual([...[a, b][team]!].filter((id) => own.includes(id)));
      }
      const taken = new Set<string>();
      let ahead = 0;
      for (const { candidate, team } of found) {
        const canPick = [a, b].map((ids) => [...ids].some((id) => !taken.has(id)));
        ahead += team === 0 ? 1 : -1;
        if (canPick[0] && canPick[1]) expect(Math.abs(ahead)).toBeLessThan(2 + Math.abs(a.length - b.length));
        taken.add(candidate.adId);
      }
    }),
  );
});

/** Share of the slots of 4,000 auctions that team 1 is credited with. */
function creditOf(a: ReturnType<typeof ranking>, b: ReturnType<typeof ranking>): number {
  let [credited, slots] = [0, 0];
  for (let i = 0; i < 1_500; i++) {
    const drafted = interleave([a, b], { length: 10, seed: `impression-${i}` });
    const teams = new Map(drafted.map(({ candidate, team }) => [candidate.adId, team]));
    const page = auction(
      drafted.map(({ candidate }) => candidate),
      { reserveMicros: 1, qualityExponent: 2, slots: 3 },
    );
    slots += page.length;
    credited += page.filter(({ candidate }) => teams.get(candidate.adId) === 1).length;
  }
  return credited / slots;
}
/** Four standard errors of a fair coin; the slots of a page are dealt in pairs, so pages count, not slots. */
const TOLERANCE = 4 * Math.sqrt(0.25 / 1_500);

describe('is fair', () => {
  it('to identical rankings: each is credited with half', () => {
    expect(Math.abs(creditOf(ranking('abcdef'), ranking('abcdef')) - 0.5)).toBeLessThan(TOLERANCE);
  });

  it.each([
    ['abcdef', 'uvwxyz'],
    ['abcxyz', 'xyzdef'],
    ['ab', 'bcdefg'],
  ])('to either side: %s and %s change credits with their places', (a, b) => {
    const both = creditOf(ranking(a), ranking(b)) + creditOf(ranking(b), ranking(a));
    expect(Math.abs(both - 1)).toBeLessThan(2 * TOLERANCE);
  });

  it('where one plan rates the same ads higher: that alone wins it nothing', () => {
    expect(Math.abs(creditOf(ranking('abcdef', 0.3), ranking('abcdef', 0.9)) - 0.5)).toBeLessThan(TOLERANCE);
  });

  it('and prefers the plan that finds better ads', () => {
    expect(creditOf(ranking('abcdef', 0.3), ranking('uvwxyz', 0.6))).toBeGreaterThan(0.9);
  });
});
