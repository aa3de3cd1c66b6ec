/** The entry point: where the deployment is at fault, and no application is there to answer; and what the schedule starts. */
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

// The last one: the isolate is made here, and stays.
it('has every outbox compare its ledger when the schedule says so', async () => {
  const asked: string[] = [];
  const OUTBOX = {
    idFromName: (name: string) => name,
    get: (name: string) => ({
      fetch: async (url: string) => {
        asked.push(`${name} ${new URL(url).pathname}`);
        return Response.json({ minutes: [], missing: [], recent: 0, waiting: 0 });
      },
    }),
  };
  await worker.scheduled(undefined, { ...env, OUTBOX } as never, createExecutionContext() as never);
  expect(asked.sort()).toEqual([0, 1, 2, 3].map((n) => `outbox-${n} /reconcile`));
});
