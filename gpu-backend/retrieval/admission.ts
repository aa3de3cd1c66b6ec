/**
 * What a query may bring up at all, whichever retriever would find it: the conjunction of what advertisers and whoever
 * runs the market have said. Negative keywords hold an ad off every source.
 */
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import type { Scope, View } from '../generations/view.ts';

/** The scope of a request on one view. */
export function admission({ query, market }: RetrieveRequest, view: View): Scope {
  const heldOff = view.heldOff(query);
  return { market, admits: (_ad, slot) => heldOff === undefined || !heldOff(slot) };
}
