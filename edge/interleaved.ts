/**
 * The candidates of a page: those of the visit's plan, or, in an interleaving, those of two plans merged by team draft.
 * Each plan keeps a cache entry of its own; what is merged is never cached, because every page draws its coins anew.
 */
import { Rung } from '../shared/contract/query-route.ts';
import type { Assignment } from '../shared/experiment.ts';
import { interleave } from '../shared/interleave.ts';
import type { AdsRequest } from './ads-request.ts';
import { type CandidateSources, type RetrieveContext, type Retrieved, retrieve } from './candidates.ts';
import type { AssignedPlan } from './serving.ts';

export interface Page {
  retrieved: Retrieved;
  /** Without an interleaving that could not take place: the visit was not exposed to it. */
  assignments: Assignment[];
  /** Of the plans that made the page. */
  planFingerprint: string;
  /** The arm that an ad is credited to, by ad id; `undefined` for a page of one plan. */
  teamOf: ReadonlyMap<string, string> | undefined;
}

export interface PageOptions extends RetrieveContext {
  /** Decides the coins of a merge; the impression's id, so that a page can be drawn again. */
  seed: string;
}

export async function retrievePage(
  sources: CandidateSources,
  request: AdsRequest,
  assigned: AssignedPlan,
  { seed, ...context }: PageOptions,
): Promise<Page> {
  const { interleaving, assignments } = assigned;
  if (interleaving === undefined) {
    const retrieved = await retrieve(sources, request, assigned, context);
    return { retrieved, assignments, planFingerprint: assigned.fingerprint, teamOf: undefined };
  }
  const { teams } = interleaving;
  const [a, b] = await Promise.all([
    retrieve(sources, request, teams[0], context),
    retrieve(sources, request, teams[1], context),
  ]);
  // Half a comparison is none: without both lists, of one generation, the page is that of one plan and counts for neither.
  if (a.answer === null || b.answer === null || a.answer.generation !== b.answer.generation) {
    const control = teams[0].fingerprint === assigned.fingerprint ? 0 : 1;
    const lists = [a, b] as const;
    const index = lists[control].answer === null ? 1 - control : control;
    return {
      retrieved: lists[index]!,
      assignments: assignments.filter(({ experiment }) => experiment !== interleaving.experiment),
      planFingerprint: teams[index]!.fingerprint,
      teamOf: undefined,
    };
  }
  const drafted = interleave([a.answer.candidates, b.answer.candidates], {
    length: Math.max(teams[0].plan.k, teams[1].plan.k),
    seed,
  });
  const candidates = drafted.map(({ candidate }) => candidate);
  return {
    retrieved: { ...together(a, b), answer: { ...a.answer, candidates } },
    assignments,
    planFingerprint: `${teams[0].fingerprint}+${teams[1].fingerprint}`,
    teamOf: new Map(drafted.map(({ candidate, team }) => [candidate.adId, teams[team].arm])),
  };
}

/** Two retrievals that ran side by side, told as one: by the slower, the older, the lower rung. */
function together(a: Retrieved, b: Retrieved): Omit<Retrieved, 'answer'> {
  const slower = a.timings.backendMs >= b.timings.backendMs ? a : b;
  const missed = [a, b].find(({ cache }) => cache.status === 'miss');
  const older = a.cache.ageMs >= b.cache.ageMs ? a : b;
  const lower = Rung.options.indexOf(a.rung) >= Rung.options.indexOf(b.rung) ? a : b;
  return {
    cache: (missed ?? older).cache,
    rung: lower.rung,
    reason: lower.reason,
    timings: slower.timings,
  };
}
