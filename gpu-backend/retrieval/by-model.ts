/**
 * Which student answers a plan: the one that is served, or the candidate that the plan names, so that an experiment can
 * compare the two. Both search the same generation, because they live in one embedding space.
 */
import { HarnessError } from '../../shared/problem.ts';
import type { Retrieval } from './retrieve.ts';

export interface NamedRetrieval {
  /** Name of the bundle. */
  readonly model: string;
  readonly retrieval: Pick<Retrieval, 'retrieve'>;
}

/**
 * `served` is asked again for each request, because its bundle may be exchanged; rejects with `model_mismatch` for
 * another name.
 */
export function retrieveByModel(options: {
  served: () => NamedRetrieval;
  candidate: NamedRetrieval | undefined;
}): Retrieval['retrieve'] {
  return async (request, given) => {
    const { served, candidate } = { served: options.served(), candidate: options.candidate };
    const { model = served.model } = request.plan;
    const named = [served, candidate].find((each) => each?.model === model);
    if (named === undefined) {
      const names = [served.model, ...(candidate === undefined ? [] : [candidate.model])].join(' or ');
      throw new HarnessError(
        'model_mismatch',
        `plan.model: expected ${names}, got ${model}; name its bundle in HARNESS_CANDIDATE_BUNDLE.`,
      );
    }
    return named.retrieval.retrieve(request, given);
  };
}
