/** The entry point where the deployment is at fault, and no application is there to answer. */
import { createExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import worker from '../../edge/worker.ts';
import { Problem } from '../../shared/problem.ts';

const breaks = () => {
  throw new Error('a word of the platform');
};

it.each([
  ['is missing', { HARNESS_KEYS: undefined }, 'configuration', /HARNESS_KEYS/],
  [
    'breaks',
    {
      OUTBOX: {
        get idFromName() {
          return breaks();
        },
      },
    },
    'internal',
    /^An unexpected fault/,
  ],
])('a binding that %s is a problem with a code and the headers of every answer', async (_, bindings, code, detail) => {
  const request = new Request('https://edge.example/v1/ads?q=shoes');
  const response = await worker.fetch(
    request as never,
    { ...env, ...bindings } as never,
    createExecutionContext() as never,
  );
  const problem = Problem.parse(await response.json());
  expect(problem.code).toBe(code);
  expect(problem.detail).toMatch(detail);
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  expect(response.headers.get('cache-control')).toBe('no-store');
});
