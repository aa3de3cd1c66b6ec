/** `POST|GET /v1/generations`. */
import { GenerationRequest } from '../../shared/contract/generations.ts';
import type { Publisher } from '../generations/publisher.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

export function generationRoutes(publisher: Publisher): Endpoint[] {
  return [
    endpoint({
      on: 'post /v1/generations',
      body: GenerationRequest,
      handle: ({ body }) => (body.action === 'build' ? publisher.build() : publisher.rollBack(body.to)),
    }),
    endpoint({ on: 'get /v1/generations', handle: () => publisher.list() }),
  ];
}
