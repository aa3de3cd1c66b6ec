/** `PUT|PATCH|DELETE /v1/ads/:id` and `POST /v1/ads:batch`. */
import { z } from 'zod';
import { AdPatch, AdUpload, MOST_IN_BATCH } from '../../shared/contract/ads.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Catalogue } from '../catalogue/catalogue.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

/** A whole batch with its vectors. */
const MAX_BATCH_BYTES = 32 << 20;

/** The contract's batch with its rows unread: a bad one is refused by index, not with the whole. */
const RawBatch = z.strictObject({ ads: z.array(z.unknown()).min(1).max(MOST_IN_BATCH) });

export function catalogueRoutes(catalogue: Catalogue): Endpoint[] {
  return [
    endpoint({
      on: 'put /v1/ads/{id}',
      body: AdUpload,
      async handle({ body, params }) {
        if (body.id !== params.id)
          throw new HarnessError('bad_request', `body.id: expected ${params.id} as in the path, got ${body.id}.`);
        return catalogue.put(body);
      },
    }),
    endpoint({
      on: 'patch /v1/ads/{id}',
      body: AdPatch,
      handle: ({ body, params }) => catalogue.patch(params.id!, body),
    }),
    endpoint({ on: 'delete /v1/ads/{id}', handle: ({ params }) => catalogue.remove(params.id!) }),
    endpoint({
      on: 'post /v1/ads:batch',
      body: RawBatch,
      maxBytes: MAX_BATCH_BYTES,
      handle: ({ body }) => catalogue.putMany(body.ads),
    }),
  ];
}
