/** Routes while the database is away: those that need it say so at once, the others go on. */
import type { Availability } from '../db/availability.ts';
import type { Endpoint } from './endpoint.ts';

/** Queries are answered from memory, events go to disk, and whoever runs it must be able to look. */
const WITHOUT_DATABASE: ReadonlySet<Endpoint['on']> = new Set<Endpoint['on']>([
  'post /v1/retrieve',
  'post /v1/embeddings',
  'post /v1/events',
  'get /healthz',
  'get /readyz',
  'get /metrics',
  'get /openapi.json',
]);

/** The endpoint, answering `not_ready` with the reason while the database is away. */
export function withDatabase(endpoint: Endpoint, { guard }: Pick<Availability, 'guard'>): Endpoint {
  if (WITHOUT_DATABASE.has(endpoint.on)) return endpoint;
  return { ...endpoint, handle: (call) => guard(() => endpoint.handle(call)) };
}
