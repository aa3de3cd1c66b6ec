/** `POST /v1/retrieve` and `GET /v1/head-ads`. */
import type { HeadAds } from '../../shared/contract/head.ts';
import { RetrieveRequest, type RetrieveResponse } from '../../shared/contract/retrieve.ts';
import { HarnessError } from '../../shared/problem.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import type { Metrics } from './metrics.ts';

export interface RetrievalRoutesOptions {
  retrieve: (request: RetrieveRequest, options: { signal: AbortSignal }) => Promise<RetrieveResponse>;
  headAds: () => Promise<HeadAds>;
  /** Markets that are served. */
  markets: () => readonly string[];
  metrics: Metrics;
  /** Told of every request that was answered. */
  onAnswered?: (request: RetrieveRequest) => void;
}

export function retrievalRoutes({
  retrieve,
  headAds,
  markets,
  metrics,
  onAnswered,
}: RetrievalRoutesOptions): Endpoint[] {
  return [
    endpoint({
      on: 'post /v1/retrieve',
      body: RetrieveRequest,
      async handle({ body, signal }) {
        if (!markets().includes(body.market))
          throw new HarnessError(
            'unknown_market',
            `market: expected one of ${markets().join(', ')}, got ${body.market}.`,
          );
        const answer = await retrieve(body, { signal });
        metrics.observeRetrieval(answer.timings);
        onAnswered?.(body);
        return answer;
      },
    }),
    endpoint({ on: 'get /v1/head-ads', handle: headAds }),
  ];
}
