/** `POST /v1/retrieve`, `POST /v1/embeddings` and `GET /v1/head-ads`. */
import type { HeadAds } from '../../shared/contract/head.ts';
import {
  EmbeddingsRequest,
  type EmbeddingsResponse,
  RetrieveRequest,
  type RetrieveResponse,
} from '../../shared/contract/retrieve.ts';
import { HarnessError } from '../../shared/problem.ts';
import { packFloats } from '../../shared/query-vector.ts';
import { normalize } from '../../shared/text.ts';
import type { Encoder } from '../encoder/encoder.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import type { Metrics } from './metrics.ts';

export interface RetrievalRoutesOptions {
  retrieve: (request: RetrieveRequest, options: { signal: AbortSignal }) => Promise<RetrieveResponse>;
  encoder: Pick<Encoder, 'encode' | 'model' | 'dimension'>;
  headAds: () => Promise<HeadAds>;
  /** Markets that are served. */
  markets: () => readonly string[];
  metrics: Metrics;
}

export function retrievalRoutes({ retrieve, encoder, headAds, markets, metrics }: RetrievalRoutesOptions): Endpoint[] {
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
        return answer;
      },
    }),
    endpoint({ on: 'get /v1/head-ads', handle: headAds }),
    endpoint({
      on: 'post /v1/embeddings',
      body: EmbeddingsRequest,
      async handle({ body, signal }): Promise<EmbeddingsResponse> {
        const { input, dimensions, encoding_format: format } = body;
        if (dimensions !== undefined && dimensions !== encoder.dimension) {
          throw new HarnessError(
            'bad_request',
            `dimensions: expected ${encoder.dimension}, which is what ${encoder.model} has, got ${dimensions}.`,
          );
        }
        const texts = (typeof input === 'string' ? [input] : input).map((text) => normalize(text));
        const { vectors, tokens } = await encoder.encode(texts, { signal });
        return {
          object: 'list',
          model: encoder.model,
          data: vectors.map((vector, index) => ({
            object: 'embedding',
            index,
            embedding: format === 'base64' ? packFloats(vector) : [...vector],
          })),
          usage: { prompt_tokens: tokens, total_tokens: tokens },
        };
      },
    }),
  ];
}
