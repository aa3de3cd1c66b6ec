/** Interleaved pages as the edge makes them: draft, auction, and people who look and click by a model that is known. */
import { describe, expect, it } from 'vitest';
import { examinationOf } from '../../../../gpu-backend/experiments/designs/examination.ts';
import { analyseInterleaving, type DraftedSlot } from '../../../../gpu-backend/experiments/designs/interleaving.ts';
import type { Grade } from '../../../../marketplace/relevance.ts';
import { clickProbability, examination } from '../../../../marketplace/users.ts';
import { auction } from '../../../../shared/auction.ts';
import { interleave } from '../../../../shared/interleave.ts';
import { uniforms } from '../../../fixtures/random.ts';

interface Found {
  adId: string;
  advertiserId: string;
  bidMicros: number;
  relevance: number;
  grade: Grade;
}

const ARMS = ['control', 'treatment'] as const;

/** Pages of a market where an ad is out of budget now and then, so that those below it move up. */
function pagesOf(
  listOf: (arm: 0 | 1, query: number, uniform: () => number) => Found[],
  { pages, seed, outOfBudget = 0.15 }: { pages: number; seed: number; outOfBudget?: number },
): DraftedSlot[] {
  const uniform = uniforms(seed);
  const queries = Array.from({ length: 40 }, (_, query) => [
    listOf(0, query, uniforms(1_000 + query)),
    listOf(1, query, uniforms(1_000 + query)),
  ]);
  return Array.from({ length: pages }, (_, page) => {
    const query = Math.floor(uniform() ** 2 * queries.length);
    const [a, b] = queries[query]!;
    const drafted = interleave([a!, b!], { length: 6, seed: `${seed}/${page}` });
    const teams = new Map(drafted.map(({ candidate, team }) => [candidate.adId, ARMS[team]]));
    const slots = auction(
      drafted.map(({ candidate }) => candidate).filter(() => uniform() > outOfBudget),
      { reserveMicros: 1, qualityExponent: 2, slots: 4 },
    );
    return slots.map(({ position, candidate }) => ({
      unitId: `unit-${Math.floor(uniform() * (pages / 6))}`,
      query: `query-${query}`,
      adId: candidate.adId,
      position,
      team: teams.get(candidate.adId)!,
      clicked: uniform() < clickProbability(candidate.grade, position),
    }));
  }).flat();
}

/** Ads of a plan's own for a query. */
function ads(prefix: string, { grade, bid, uniform }: { grade: Grade; bid: number; uniform: () => number }): Found[] {
  return Array.from({ length: 6 }, (_, i) => ({
    adId: `${prefix}-${i}`,
    advertiserId: `${prefix}-${i}`,
    bidMicros: Math.round(bid * (0.6 + 0.8 * uniform())),
    relevance: 0.9 - 0.05 * i,
    grade,
  }));
}

const analyse = (slots: DraftedSlot[]) => analyseInterleaving(slots, { control: 'control', confidence: 0.95 });

describe('interleaving', () => {
  it('of identical plans is even, about nineteen times of twenty', () => {
    let claims = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const slots = pagesOf((_, query, uniform) => ads(`q${query}`, { grade: 2, bid: 1e6, uniform }), {
        pages: 500,
        seed,
      });
      const { teamDraft, debiased, clicks } = analyse(slots);
      expect(clicks.control + clicks.treatment).toBeGreaterThan(150);
      if (teamDraft!.significant) claims++;
      if (debiased!.significant) claims++;
    }
    expect(claims).toBeLessThanOrEqual(6);
  });

  it('finds the plan whose ads people want', () => {
    const better = pagesOf(
      (arm, query, uniform) => ads(`q${query}-${arm}`, { grade: arm === 1 ? 3 : 2, bid: 1e6, uniform }),
      { pages: 3_000, seed: 7 },
    );
    const { teamDraft, debiased, clicks } = analyse(better);
    expect(clicks.treatment).toBeGreaterThan(clicks.control);
    expect(teamDraft!.interval[0]).toBeGreaterThan(0);
    // Attraction 0.38 against 0.26, by the click model.
    const [low, high] = debiased!.relativeInterval!;
    expect(low).toBeLessThan(0.38 / 0.26 - 1);
    expect(high).toBeGreaterThan(0.38 / 0.26 - 1);
    expect(low).toBeGreaterThan(0);
  });

  it('is not taken in by a plan that wins higher slots with ads that are no better', () => {
    const found = [1, 2, 3, 4].map((seed) =>
      analyse(
        pagesOf((arm, query, uniform) => ads(`q${query}-${arm}`, { grade: 2, bid: arm === 1 ? 1.2e6 : 1e6, uniform }), {
          pages: 2_000,
          seed,
        }),
      ),
    );
    for (const { teamDraft } of found) expect(teamDraft!.interval[0]).toBeGreaterThan(0.05);
    expect(found.filter(({ debiased }) => debiased!.significant).length).toBeLessThanOrEqual(1);
    const mean = found.reduce((sum, { debiased }) => sum + debiased!.relative!, 0) / found.length;
    expect(Math.abs(mean)).toBeLessThan(0.06);
  });

  it('reads from the log how far down people look', () => {
    const slots = pagesOf((_, query, uniform) => ads(`q${query}-${uniform() < 0.5}`, { grade: 3, bid: 1e6, uniform }), {
      pages: 6_000,
      seed: 3,
    });
    const shuffled = uniforms(5);
    const moved = slots.map((slot) => {
      const position = 1 + Math.floor(shuffled() * 4);
      return { ...slot, position, clicked: shuffled() < clickProbability(3, position) };
    });
    for (const [i, chance] of examinationOf(moved)!.entries())
      expect(Math.abs(chance - examination(i + 1) / examination(1))).toBeLessThan(0.05);
  });

  it('does not correct for positions that nothing tells about', () => {
    const slots = pagesOf((arm, query, uniform) => ads(`q${query}-${arm}`, { grade: 2, bid: 1e6, uniform }), {
      pages: 500,
      seed: 2,
      outOfBudget: 0,
    });
    expect(analyse(slots)).toMatchObject({
      debiased: null,
      examination: null,
      teamDraft: { pValue: expect.any(Number) },
    });
  });

  it('of pages without clicks says nothing', () => {
    const slots = pagesOf((_, query, uniform) => ads(`q${query}`, { grade: 2, bid: 1e6, uniform }), {
      pages: 5,
      seed: 1,
    });
    const { teamDraft, debiased } = analyse(slots.map((slot) => ({ ...slot, clicked: false })));
    expect([teamDraft, debiased]).toEqual([null, null]);
  });
});
