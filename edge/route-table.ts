/** The routes as others read them: the OpenAPI document, and the methods that a path has. */

import { EDGE_ROUTES } from '../shared/contract/edge-routes.ts';
import { openApi } from '../shared/contract/openapi.ts';

const patternOf = (template: string) => new RegExp(`^${template.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`);

/** Methods of the routes that a path belongs to; none of an unknown one. */
export const methodsOf = (path: string): string[] =>
  EDGE_ROUTES.filter((route) => patternOf(route.path).test(path)).map(({ method }) => method.toUpperCase());

/** `GET /openapi.json` of a version. */
export const documentOf = (version: string): Record<string, unknown> =>
  openApi({ title: 'Harness edge', version, description: 'Ads for search queries, from the edge.' }, EDGE_ROUTES);
