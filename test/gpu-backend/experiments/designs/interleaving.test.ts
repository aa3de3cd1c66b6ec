/** Interleaved pages as the edge makes them: draft, auction, and people who look and click by a model that is known. */
import { type SQL, sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { readExamination } from '../../../../gpu-backend/experiments/designs/examination.ts';
import { readInterleaving } from '../../../../gpu-backend/experiments/designs/interleaving.ts';
import type { Grade } from '../../../../marketplace/relevance.ts';
import { clickProbability, examination } from '../../../../marketplace/users.ts';
import { auction } from '../../../../shared/auction.ts';
import { interleave } from '../../../../shared/interleave.ts';
import { uniforms } from '../../../fixtures/random.ts';
import { openEmbeddedDatabase } from '../../../setup/databases.ts';
import { useDatabase } from '../../../setup/hooks.ts';

interface Slot {
  unit_id: string;
  market: string;
  query: string;
  ad_id: string;
  position: number;
  team: string;
  clicked: boolean;
}

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
): Slot[] {
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
      unit_id: `unit-${Math.floor(uniform() * (pages / 6))}`,
      market: 'us',
      query: `query-${query}`,
      ad_id: candidate.adId,
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

const rowsOf = (slots: readonly Slot[]): SQL =>
  sql`select * from jsonb_to_recordset(${JSON.stringify(slots)}::text::jsonb)
    as slot(unit_id text, market text, query text, ad_id text, position int, team text, clicked boolean)`;

describe('interleaving', () => {
  const database = useDatabase(openEmbeddedDatabase);
  const analyse = (slots: readonly Slot[]) =>
    readInterleaving(database.db, rowsOf(slots), { control: 'control', confidence: 0.95 });
  const examined = (slots: readonly Slot[]) =>
    readExamination(
      database.db,
      sql`select market, query, ad_id, position, count(*) as shown, count(*) filter (where clicked) as clicks
          from (${rowsOf(slots)}) slots group by 1, 2, 3, 4`,
    );

  it('of identical plans is even, about nineteen times of twenty', async () => {
    let claims = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const slots = pagesOf((_, query, uniform) => ads(`q${query}`, { grade: 2, bid: 1e6, uniform }), {
        pages: 500,
        seed,
      });
      const { teamDraft, debiased, clicks } = await analyse(slots);
      expect(clicks.control + clicks.treatment).toBeGreaterThan(150);
      if (teamDraft!.significant) claims++;
      if (debiased!.significant) claims++;
    }
    expect(claims).toBeLessThanOrEqual(6);
  });

  it('finds the plan whose ads people want', async () => {
    const better = pagesOf(
      (arm, query, uniform) => ads(`q${query}-${arm}`, { grade: arm === 1 ? 3 : 2, bid: 1e6, uniform }),
      { pages: 3_000, seed: 7 },
    );
    const { teamDraft, debiased, clicks } = await analyse(better);
    expect(clicks.treatment).toBeGreaterThan(clicks.control);
    expect(teamDraft!.interval[0]).toBeGreaterThan(0);
    // Attraction 0.38 against 0.26, by the click model.
    const [low, high] = debiased!.relativeInterval!;
    expect(low).toBeLessThan(0.38 / 0.26 - 1);
    expect(high).toBeGreaterThan(0.38 / 0.26 - 1);
    expect(low).toBeGreaterThan(0);
  });

  it('is not taken in by a plan that wins higher slots with ads that are no better', async () => {
    const found = await Promise.all(
      [1, 2, 3, 4].map((seed) =>
        analyse(
          pagesOf(
            (arm, query, uniform) => ads(`q${query}-${arm}`, { grade: 2, bid: arm === 1 ? 1.2e6 : 1e6, uniform }),
            { pages: 2_000, seed },
          ),
        ),
      ),
    );
    for (const { teamDraft } of found) expect(teamDraft!.interval[0]).toBeGreaterThan(0.05);
    expect(found.filter(({ debiased }) => debiased!.significant).length).toBeLessThanOrEqual(1);
    const mean = found.reduce((sum, { debiased }) => sum + debiased!.relative!, 0) / found.length;
    expect(Math.abs(mean)).toBeLessThan(0.06);
  });

  it('reads from the log how far down people look', async () => {
    const slots = pagesOf((_, query, uniform) => ads(`q${query}-${uniform() < 0.5}`, { grade: 3, bid: 1e6, uniform }), {
      pages: 6_000,
      seed: 3,
    });
    const shuffled = uniforms(5);
    const moved = slots.map((slot) => {
      const position = 1 + Math.floor(shuffled() * 4);
      return { ...slot, position, clicked: shuffled() < clickProbability(3, position) };
    });
    for (const [i, chance] of (await examined(moved))!.entries())
      expect(Math.abs(chance - examination(i + 1) / examination(1))).toBeLessThan(0.05);
  });

  it('does not correct for positions that nothing tells about', async () => {
    const slots = pagesOf((arm, query, uniform) => ads(`q${query}-${arm}`, { grade: 2, bid: 1e6, uniform }), {
      pages: 500,
      seed: 2,
      outOfBudget: 0,
    });
    expect(await analyse(slots)).toMatchObject({
      debiased: null,
      examination: null,
      teamDraft: { pValue: expect.any(Number) },
    });
  });

  it('of pages without clicks says nothing', async () => {
    const slots = pagesOf((_, query, uniform) => ads(`q${query}`, { grade: 2, bid: 1e6, uniform }), {
      pages: 5,
      seed: 1,
    });
    const { teamDraft, debiased } = await analyse(slots.map((slot) => ({ ...slot, clicked: false })));
    expect([teamDraft, debiased]).toEqual([null, null]);
  });

  it('of no pages says nothing', async () => {
    expect(await analyse([])).toEqual({
      ...{ units: 0, clicks: { control: 0, treatment: 0 } },
      ...{ teamDraft: null, debiased: null, examination: [1] },
    });
  });

  it('says no number that is none where every user clicks twice as often on the ads of one plan', async () => {
    for (const users of [
      [1, 0],
      [2, 1],
      [3, 0, 1],
      [3, 2, 4, 1],
    ]) {
      const slots = users.flatMap((clicks, user) =>
        ARMS.flatMap((team, arm) =>
          Array.from({ length: 10 }, (_, page) => ({
            ...{ unit_id: `user-${user}`, market: 'us', query: 'sofa', ad_id: team, position: 1, team },
            clicked: page < (arm + 1) * clicks,
          })),
        ),
      );
      const found = await analyse(slots);
      expect(found.debiased!.absolute).toBeGreaterThan(0);
      expect(JSON.parse(JSON.stringify(found))).toEqual(found);
      // the relative effect says what the absolute one does
      const { significant, relativeInterval } = found.debiased!;
      if (relativeInterval !== null) expect(relativeInterval[0] > 0).toBe(significant);
    }
  });

  it('weighs what two positions have seen of one ad, in one market, and passes over no position', async () => {
    const slot = (position: number, clicked: boolean, where: Partial<Slot> = {}): Slot => ({
      ...{ unit_id: 'u', market: 'us', query: 'sofa', ad_id: 'a', team: 'control' },
      ...{ position, clicked, ...where },
    });
    const many = (count: number, clicks: number, position: number, where?: Partial<Slot>) =>
      Array.from({ length: count }, (_, i) => slot(position, i < clicks, where));
    const [first, second] = [many(4, 2, 1), many(4, 1, 2)];
    expect(await examined([...first, ...second])).toEqual([1, 0.5]);
    expect(await examined([...first, ...many(4, 1, 2, { market: 'gb' })])).toBeUndefined();
    expect(await examined([...first, ...many(4, 1, 3)])).toBeUndefined();
    // (1 * 1/2 + 2 * 2/4) over (1 * 2/2 + 2 * 4/4), by looks of 2 and 2, and of 4 and 4
    const b = { ad_id: 'b' };
    expect(await examined([...many(2, 2, 1, b), ...many(2, 1, 2, b), ...many(4, 4, 1), ...many(4, 2, 2)])).toEqual([
      1, 0.5,
    ]);
    expect(await examined([...first, ...second, ...many(8, 0, 2, b), ...many(8, 8, 1, b)])).toEqual([1, 1 / 10]);
    expect(await examined([...first, ...second, ...many(4, 1, 3)])).toEqual([1, 0.5, 0.5]);
  });
});
