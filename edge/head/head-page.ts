/**
 * The rung above the empty page: where neither cache nor backend has a list, ads of the head by their words. No plan chose
 * them, so such a page is no exposure of any experiment.
 */
import type { Plan } from '../../shared/plan.ts';
import type { AdsRequest } from '../ads-request.ts';
import type { Page } from '../interleaved.ts';
import type { Isolate } from '../isolate.ts';

/** What an impression has in place of a plan's fingerprint. */
const HEAD_PLAN = 'head';

/** The page as it is unless it is empty for want of a list and the head has ads. */
export async function orHead(
  { head }: Pick<Isolate, 'head'>,
  { normalized, market }: AdsRequest,
  page: Page,
  { plan, waitUntil }: { plan: Plan; waitUntil: (work: Promise<unknown>) => void },
): Promise<Page> {
  if (page.retrieved.rung !== 'empty') return page;
  const found = await head.find({ query: normalized, market, plan, waitUntil });
  if (found === undefined || found.candidates.length === 0) return page;
  const { candidates, generation, ageMs } = found;
  return {
    retrieved: {
      ...page.retrieved,
      answer: { candidates, generation, model: null },
      cache: { status: 'bypass', ageMs },
      rung: 'head',
    },
    assignments: [],
    planFingerprint: HEAD_PLAN,
    teamOf: undefined,
  };
}
