/** `POST|GET /v1/generations`. */
import { GenerationPage, GenerationRequest } from '../../shared/contract/generations.ts';
import { firstPage } from '../../shared/contract/paging.ts';
import { parse } from '../../shared/problem.ts';
import type { Publication } from '../serving-config/publication.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

/** A build continues when its caller has left, and ends early when `stopping` aborts. */
export function generationRoutes(publication: Publication, stopping: AbortSignal): Endpoint[] {
  return [
    endpoint({
      on: 'post /v1/generations',
      body: GenerationRequest,
      handle: ({ body }) =>
        body.action === 'build'
          ? publication.build({ signal: stopping, force: body.force ?? false })
          : publication.rollBack(body.to),
    }),
    endpoint({
      on: 'get /v1/generations',
      async handle({ query }) {
        const { limit, after = 0 } = parse(GenerationPage, query, 'query');
        const { live, generations } = await publication.list();
        const later = generations.filter(({ number }) => number > after);
        const { entries, next } = firstPage(later, { limit, keyOf: ({ number }) => number });
        return { live, generations: entries, next };
      },
    }),
  ];
}
