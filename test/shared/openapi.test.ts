import { expect, test } from 'vitest';
import { EDGE_ROUTES } from '../../shared/contract/edge-routes.ts';
import { openApi } from '../../shared/contract/openapi.ts';
import { BACKEND_ROUTES } from '../../shared/contract/routes.ts';

test.each([
  ['edge', EDGE_ROUTES],
  ['backend', BACKEND_ROUTES],
] as const)('the %s document has every route, its parameters, schemas and problems', (_, routes) => {
  const document = openApi({ title: 't', version: '1', description: '' }, routes) as {
    paths: Record<
      string,
      Record<string, { parameters: { name: string }[]; responses: Record<string, unknown>; requestBody?: unknown }>
    >;
  };
  for (const route of routes) {
    const operation = document.paths[route.path]![route.method]!;
    for (const [, name] of route.path.matchAll(/\{(\w+)\}/g))
      expect(operation.parameters.map((p) => p.name)).toContain(name);
    expect(operation.responses).toHaveProperty(String(route.status ?? 200));
    expect(operation.requestBody === undefined).toBe(route.body === undefined);
  }
  expect(JSON.stringify(document)).not.toContain('undefined');
});
