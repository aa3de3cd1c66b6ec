/**
 * What a query may bring up at all, whichever retriever would find it: the conjunction of what advertisers, their campaigns
 * and whoever runs the market have said, of negative keywords, and of the day's budgets. What depends on the person or the
 * minute is left to the edge, because a list of candidates is cached.
 */
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { killEntry } from '../../shared/contract/takedown.ts';
import type { Eligibility } from '../catalogue/eligibility.ts';
import type { Scope, View } from '../generations/view.ts';

export interface AdmissionOptions {
  eligibility: Eligibility;
  /** The kill list: ads, campaigns and advertisers that are out, for now. */
  killed: () => ReadonlySet<string>;
}

/** The scope of a request on one view. */
export function admission(request: RetrieveRequest, view: View, { eligibility, killed }: AdmissionOptions): Scope {
  const heldOff = view.heldOff(request.query);
  const booked = eligibility.admits(request);
  const out = killed();
  return {
    market: request.market,
    admits: (booking) =>
      booked(booking) &&
      !out.has(killEntry('campaign', booking.campaignId)) &&
      !out.has(killEntry('advertiser', booking.advertiserId)),
    heldOff: out.size === 0 ? heldOff : (slot) => (heldOff?.(slot) ?? false) || out.has(view.ad(slot).id),
  };
}

/** The kill list of the serving configuration as a set, made once a list. */
export function killedBy(current: () => readonly string[]): () => ReadonlySet<string> {
  let list: readonly string[] = [];
  let set: ReadonlySet<string> = new Set();
  return () => {
    const now = current();
    if (now !== list) {
      list = now;
      set = new Set(now);
    }
    return set;
  };
}
