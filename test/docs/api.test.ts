/** Guides against the contract: every route is in docs/api.md, what it calls unsigned is open, and calls that guides spell out are accepted. */
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EDGE_ROUTES } from '../../shared/contract/edge-routes.ts';
import { BACKEND_ROUTES } from '../../shared/contract/routes.ts';

const guide = readFileSync('docs/api.md', 'utf8');

test.each([...EDGE_ROUTES, ...BACKEND_ROUTES].map(({ method, path }) => [method, path]))(
  '%s %s is in it',
  (_, path) => {
    // One entry of a collection may be told with the collection.
    const names = [path.replaceAll(/\{(\w+)\}/g, ':$1'), path.replace(/\/\{id\}$/, '')];
    expect(names.filter((name) => guide.includes(`${name}\``) || guide.includes(`${name}?`))).not.toEqual([]);
  },
);

test('no other route of the backend is open than those that it names', () => {
  const open = BACKEND_ROUTES.filter(({ signed }) => signed !== true).map(({ method, path }) => `${method} ${path}`);
  expect(open.filter((route) => !route.startsWith('get /v1/experiments'))).toEqual(
    ['healthz', 'readyz', 'metrics', 'openapi.json', 'dashboard'].map((name) => `get /${name}`),
  );
});

const calls = globSync('{README,docs/*,*/README}.md').flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/`(POST|PATCH|PUT) (\/v1\/[\w:/]+)[` ]+(\{"[^`]+\})`/g)].map(
    ([, method, path, body]) => ({ file, method: method!.toLowerCase(), path: path!, body: body! }),
  ),
);

test('guides spell calls out', () => expect(calls.length).toBeGreaterThan(2));

test.each(calls)('$file: $method $path $body is accepted', ({ method, path, body }) => {
  const route = BACKEND_ROUTES.find(
    (each) => each.method === method && each.path === path.replaceAll(/:(\w+)(?=\/|$)/g, '{$1}'),
  );
  expect(route?.body?.safeParse(JSON.parse(body))).toMatchObject({ success: true });
});
