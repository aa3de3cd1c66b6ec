/** The students that answer: the one that is served, which may be exchanged while it serves, and the candidate of an experiment. */
import type { Logger } from 'pino';
import type { Adapters } from '../adapters.ts';
import type { Bundle } from '../encoder/bundle.ts';
import type { Live } from '../generations/live.ts';
import type { VectorLadder } from '../generations/vectors.ts';
import { retrieveByModel } from './by-model.ts';
import { createRetrieval, type RetrievalOptions } from './retrieve.ts';

type ModelsOptions = Pick<Adapters, 'served' | 'candidate'> &
  Pick<RetrievalOptions, 'admitted' | 'onConsidered'> & { live: Live; ladder: VectorLadder; log: Logger };

export async function createModels({ served, candidate, live, ladder, log, ...options }: ModelsOptions) {
  const { encoder } = served;
  const sayModel = () => {
    const { model, spaceId, device } = encoder;
    log.info({ ...device, model, spaceId }, `encoding on ${device.provider} in ${device.precision}`);
  };
  const retrievalBy = async (bundle: Bundle, by = encoder) => {
    const { calibration, cosineAdapter } = bundle.manifest;
    const [headQueries, newWords] = await Promise.all([bundle.readHeadQueries(), bundle.readNewWords()]);
    return createRetrieval({ encoder: by, live, calibration, cosineAdapter, headQueries, newWords, ...options });
  };

  sayModel();
  let retrieval = await retrievalBy(served.bundle);
  const other = candidate && {
    model: candidate.encoder.model,
    retrieval: await retrievalBy(candidate.bundle, candidate.encoder),
  };
  if (other !== undefined) log.info({ model: other.model }, 'candidate is open for plans that name it');
  return {
    retrieve: retrieveByModel({ served: () => ({ model: encoder.model, retrieval }), candidate: other }),
    /** Of the served one, since it is. */
    stats: () => retrieval.stats(),
    /** Takes what the bundle's folder holds now; requests under way end with the bundle they began with. */
    async reload() {
      const changed = await served.reload(async (next) => {
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
