/**
 * The rung above the empty page: where neither cache nor backend has a list, ads of the head by their words. No plan chose
 * them, so such a page is no exposure of any experiment.
 */
import type { AdsRequest } from '../ads-request.ts';
import type { Page } from '../interleaved.ts';
import type { HeadQuery, HeadStore } from './head-store.ts';

/** What an impression has in place of a plan's fingerprint. */
const HEAD_PLAN = 'head';

/** In place of an empty page, one of the head's ads; the page as it is where the head has none either. */
export async function headPage(
  head: HeadStore,
  page: Page,
  { request, plan, waitUntil }: { request: AdsRequest } & Pick<HeadQuery, 'plan' | 'waitUntil'>,
): Promise<Page> {
  const { normalized: query, market } = request;
  const found = await head.find({ query, market, plan, waitUntil });
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
