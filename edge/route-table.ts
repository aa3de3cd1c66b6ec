/** The routes as others read them: the OpenAPI document, and the methods that a path has. */

import { EDGE_ROUTES } from '../shared/contract/edge-routes.ts';
import { openApi } from '../shared/contract/openapi.ts';

const PATTERNS = EDGE_ROUTES.map(({ method, path }) => ({
  method: method.toUpperCase(),
  pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
}));

/** Methods of the routes that a path belongs to; none of an unknown one. */
export const methodsOf = (path: string): string[] =>
  PATTERNS.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);

/** `GET /openapi.json` of a version. */
export const documentOf = (version: string): Record<string, unknown> =>
  openApi({ title: 'Harness edge', version, description: 'Ads for search queries, from the edge.' }, EDGE_ROUTES);
