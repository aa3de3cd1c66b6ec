/** Routes while the database is away: those that need it say so at once, the others go on. */
import { HarnessError } from '../../shared/problem.ts';
import type { Availability } from '../db/availability.ts';
import { isGivenUp, reasonOf } from '../db/sql-error.ts';
import type { Endpoint } from './endpoint.ts';

/**
 * Queries are answered from memory, events go to disk, and the operator must be able to look, and to take back a bad
 * model.
 */
const WITHOUT_DATABASE: ReadonlySet<Endpoint['on']> = new Set<Endpoint['on']>([
  'post /v1/retrieve',
  'post /v1/embeddings',
  'post /v1/events',
  'post /v1/model',
  'get /healthz',
  'get /readyz',
  'get /metrics',
  'get /openapi.json',
]);

/** The endpoint, answering `not_ready` with the reason while the database is away, and `deadline_exceeded` where it gave up. */
export function withDatabase(endpoint: Endpoint, { guard }: Pick<Availability, 'guard'>): Endpoint {
  if (WITHOUT_DATABASE.has(endpoint.on)) return endpoint;
  return {
    ...endpoint,
    async handle(call) {
      try {
        return await guard(() => endpoint.handle(call));
      } catch (error) {
        if (!isGivenUp(error)) throw error;
        throw new HarnessError(
          'deadline_exceeded',
          `The database gave up (${reasonOf(error)}): HARNESS_STATEMENT_SECONDS and HARNESS_BATCH_SECONDS say how long a statement may take; what stood in its way may be gone at the next try.`,
          { cause: error },
        );
      }
    },
  };
}
