/** `POST|GET /v1/generations`. */
import { GenerationRequest } from '../../shared/contract/generations.ts';
import type { Publication } from '../serving-config/publication.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

/** A build goes on when its caller has left, and ends early when `stopping` aborts. */
export function generationRoutes(publication: Publication, stopping: AbortSignal): Endpoint[] {
  return [
    endpoint({
      on: 'post /v1/generations',
      body: GenerationRequest,
      handle: ({ body }) => (body.action === 'build' ? publication.build(stopping) : publication.rollBack(body.to)),
    }),
    endpoint({ on: 'get /v1/generations', handle: () => publication.list() }),
  ];
}
