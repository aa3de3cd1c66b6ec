import { Hono } from 'hono';
import { TrieRouter } from 'hono/router/trie-router';
import { expect, it, vi } from 'vitest';
import { FixedPaths } from '../../../gpu-backend/http/fixed-paths.ts';

const ROUTES = [
  ['ALL', '*', 'every'],
  ['GET', '/v1/ads', 'list'],
  ['POST', '/v1/ads', 'create'],
  ['PUT', '/v1/ads/:id', 'put'],
  ['POST', '/v1/:part2{ads:batch}', 'batch'],
  ['GET', '/v1/:any{[a-c]+}', 'pattern'],
] as const;
const ASKED = ['GET', 'POST', 'PUT', 'HEAD'].flatMap((method) =>
  ['/v1/ads', '/v1/ads/7', '/v1/ads/ads', '/v1/ads:batch', '/v1/abc', '/v1', '*', '/v1/:any{[a-c]+}'].map(
    (path) => [method, path] as const,
  ),
);

it('finds what the tree finds, the first time and every time', () => {
  const [fixed, tree] = [new FixedPaths<string>(), new TrieRouter<string>()];
  for (const [method, path, handler] of ROUTES) {
    fixed.add(method, path, handler);
    tree.add(method, path, handler);
    for (const [asked, at] of [...ASKED, ...ASKED]) expect(fixed.match(asked, at)).toEqual(tree.match(asked, at));
  }
});

it('walks the tree once for a path without parameters', () => {
  const walk = vi.spyOn(TrieRouter.prototype, 'match');
  const fixed = new FixedPaths<string>();
  for (const [method, path, handler] of ROUTES) fixed.add(method, path, handler);
  for (let n = 0; n < 3; n++) for (const path of ['/v1/ads', '/v1/ads/7']) fixed.match('GET', path);
  expect(walk.mock.calls.map(([, path]) => path)).toEqual(['/v1/ads', '/v1/ads/7', '/v1/ads/7', '/v1/ads/7']);
  walk.mockRestore();
});

it('keeps the parameters of requests apart', async () => {
  const app = new Hono({ router: new FixedPaths() });
  app.get('/v1/ads', (c) => c.json(c.req.param()));
  app.get('/v1/ads/:id', (c) => c.json(c.req.param()));
  const answers = ['/v1/ads', '/v1/ads/1', '/v1/ads/2', '/v1/ads'].map(async (path) =>
    (await app.request(path)).json(),
  );
  expect(await Promise.all(answers)).toEqual([{}, { id: '1' }, { id: '2' }, {}]);
});
