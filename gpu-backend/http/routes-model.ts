/** `POST /v1/model`. */
import { ModelRequest, type ModelState } from '../../shared/contract/model.ts';
import { type Endpoint, endpoint } from './endpoint.ts';

export function modelRoutes(reload: () => Promise<ModelState>): Endpoint[] {
  return [endpoint({ on: 'post /v1/model', body: ModelRequest, handle: reload })];
}
