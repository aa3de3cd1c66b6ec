/** A table of the backend's endpoints in which only some are there: the others answer `not_ready`. */
import type { Endpoint } from '../../gpu-backend/http/endpoint.ts';
import { BACKEND_ROUTES } from '../../shared/contract/routes.ts';
import { HarnessError } from '../../shared/problem.ts';

export function absentEndpoints(present: readonly Endpoint[]): Endpoint[] {
  const handle = async () => {
    throw new HarnessError('not_ready', 'This server has some of the routes only.');
  };
  const all = BACKEND_ROUTES.map(
    ({ method, path, body }): Endpoint => ({ on: `${method} ${path}`, body, maxBytes: 0, handle }),
  );
  return all.map((absent) => present.find(({ on }) => on === absent.on) ?? absent);
}
