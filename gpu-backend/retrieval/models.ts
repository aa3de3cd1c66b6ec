/** The students that answer: the one that is served, which may be exchanged while it serves, and the candidate of an experiment. */
import type { Logger } from 'pino';
import type { PlanPatch } from '../../shared/plan.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Adapters } from '../adapters.ts';
import type { Bundle } from '../encoder/bundle.ts';
import type { Live } from '../generations/live.ts';
import type { VectorLadder } from '../generations/vectors.ts';
import { retrieveByModel } from './by-model.ts';
import { createRetrieval, type RetrievalOptions } from './retrieve.ts';

type ModelsOptions = Pick<Adapters, 'served' | 'candidate'> &
  Pick<RetrievalOptions, 'admitted' | 'onConsidered'> & {
    live: Live;
    ladder: VectorLadder;
    log: Logger;
    /** Everybody's plan, and what the arms that run set of it. */
    plans: () => readonly PlanPatch[];
  };

export async function createModels({ served, candidate, live, ladder, log, plans, ...options }: ModelsOptions) {
  const { encoder } = served;
  const sayModel = () => {
    const { model, spaceId, device } = encoder;
    log.info({ ...device, model, spaceId }, `encoding on ${device.provider} in ${device.precision}`);
  };
  /** Of all of them together: what is counted goes on over an exchange. */
  const counts = { student: 0, teacher: 0, gated: 0 };
  const retrievalBy = async (bundle: Bundle, by = encoder) => {
    const { calibration, cosineAdapter } = bundle.manifest;
    const [headQueries, newWords] = await Promise.all([bundle.readHeadQueries(), bundle.readNewWords()]);
    return createRetrieval({
      encoder: by,
      live,
      calibration,
      cosineAdapter,
      headQueries,
      newWords,
      counts,
      ...options,
    });
  };

  /** A plan in use that could not be answered with this bundle served. */
  const orphaned = ({ name, cosineAdapter }: Bundle['manifest']) =>
    plans().find(({ model = name, adapterCutOff }) =>
      model === name ? adapterCutOff !== undefined && cosineAdapter === undefined : model !== candidate?.encoder.model,
    );

  sayModel();
  let retrieval = await retrievalBy(served.bundle);
  const other = candidate && {
    model: candidate.encoder.model,
    retrieval: await retrievalBy(candidate.bundle, candidate.encoder),
  };
  if (other !== undefined) log.info({ model: other.model }, 'candidate is open for plans that name it');
  return {
    retrieve: retrieveByModel({ served: () => ({ model: encoder.model, retrieval }), candidate: other }),
    stats: () => ({ ...counts }),
    /** Takes what the bundle's folder holds now; requests under way end with the bundle they began with. */
    async reload() {
      const changed = await served.reload(async (next) => {
        const plan = orphaned(next.manifest);
        if (plan !== undefined && orphaned(served.bundle.manifest) === undefined) {
          const { model = next.manifest.name, adapterCutOff } = plan;
          const asks = model === next.manifest.name ? `adapterCutOff ${adapterCutOff}` : `model ${model}`;
          throw new HarnessError(
            'model_mismatch',
            `A plan in use asks for ${asks}, which ${next.manifest.name} cannot answer: stop or withdraw its experiment first.`,
          );
        }
        const [ads, itsRetrieval] = await Promise.all([next.readAds(), retrievalBy(next)]);
        return () => {
          ladder.adopt(ads);
          retrieval = itsRetrieval;
          sayModel();
        };
      });
      const { model, spaceId, studentSha256, device } = encoder;
      return { model, spaceId, studentSha256, device, changed };
    },
  };
}
