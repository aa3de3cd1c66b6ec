/**
 * The counterfactual log: whether the other arms of an experiment would have shown other ads for this very request. It is asked
 * for a share of the units, each with all its requests. The other plans' lists come through the same cache, beside the
 * request's own, and the auction is held with each; nothing of it is shown. What could not be compared counts as triggered:
 * "not triggered" has to mean that the pages are the same, ads, order and prices.
 */
import type { AuctionSlot } from '../shared/auction.ts';
import type { Candidate } from '../shared/contract/retrieve.ts';
import type { Assignment } from '../shared/experiment.ts';
import type { AdsRequest } from './ads-request.ts';
import { type CandidateSources, type RetrieveContext, type Retrieved, retrieve } from './candidates.ts';
import type { Isolate } from './isolate.ts';
import type { AssignedPlan } from './serving.ts';

/** What the other arms' plans found, by experiment; `undefined` for one that could not be asked. */
export type Others = ReadonlyMap<string, readonly Retrieved[] | undefined>;

/** Starts to ask for the other arms' lists; `undefined` where nothing is to be logged. Never rejects. */
export function askOthers(
  sources: CandidateSources & Pick<Isolate, 'onError'>,
  request: AdsRequest,
  { counterfactuals }: Pick<AssignedPlan, 'counterfactuals'>,
  context: RetrieveContext,
): Promise<Others> | undefined {
  if (counterfactuals.length === 0) return undefined;
  const asked = counterfactuals.map(async ({ experiment, plans }) => {
    const lists = Promise.all(plans.map((plan) => retrieve(sources, request, plan, context)));
    return [
      experiment,
      await lists.catch((error: unknown) => {
        sources.onError('counterfactual', error);
        return undefined;
      }),
    ] as const;
  });
  return Promise.all(asked).then((found) => new Map(found));
}

type Slots = readonly AuctionSlot<Candidate>[];

export interface Shown {
  others: Others;
  /** The list that the page was made of, and the page. */
  retrieved: Retrieved;
  slots: Slots;
  /** The page that a list would have come to. */
  pageOf: (candidates: readonly Candidate[]) => Slots;
}

/** The assignments with the log's word on those experiments that were asked about. */
export function withTriggered(
  assignments: readonly Assignment[],
  { others, retrieved, slots, pageOf }: Shown,
): Assignment[] {
  const own = retrieved.answer;
  const isSame = ({ answer }: Retrieved) =>
    own !== null &&
    answer !== null &&
    answer.generation === own.generation &&
    samePage(slots, pageOf(answer.candidates));
  return assignments.map((assignment) =>
    others.has(assignment.experiment)
      ? { ...assignment, triggered: !(others.get(assignment.experiment)?.every(isSame) ?? false) }
      : assignment,
  );
}

function samePage(a: Slots, b: Slots): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ candidate, priceMicros }, i) => candidate.adId === b[i]!.candidate.adId && priceMicros === b[i]!.priceMicros,
    )
  );
}
