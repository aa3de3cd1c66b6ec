/** How long a list lives and who asks for the next one, on live requests: one refresh behind the answers, no hung follower. */
import { expect, it } from 'vitest';
import { CANDIDATES } from '../stand-in.ts';
import { edgeUnderTest } from '../under-test.worker.ts';

type Edge = ReturnType<typeof edgeUnderTest>;

/** Soft expiry after 10 s, answers at once for 5 s more; one visitor, whose list is in memory. */
async function warm(overrides: Parameters<typeof edgeUnderTest>[0] = {}) {
  const edge = edgeUnderTest(overrides);
  const first = await edge.fetch('/v1/ads?q=shoes');
  const headers = { cookie: first.headers.getSetCookie()[0]!.split(';')[0]! };
  return { edge, headers };
}
const asked = async (edge: Edge, query: string) =>
  (await edge.told()).retrieved.filter((request) => request.query === query).length;

it('past its soft expiry a list answers at once, and one call refreshes it for all', async () => {
  const { edge, headers } = await warm();
  edge.later(9.9);
  expect((await edge.ads('q=shoes', { headers })).cache.status).toBe('memory');
  await edge.backend({ retrieve: 'hold', candidates: [CANDIDATES[0]!] });
  edge.later(0.2);
  const answers = Promise.all(Array.from({ length: 20 }, () => edge.ads('q=shoes', { headers })));
  // An impression is logged when its answer is ready: all of them are, while the refresh is still held.
  await expect.poll(() => edge.queued.length).toBe(22);
  await expect.poll(async () => (await edge.told()).held).toBe(1);
  await edge.release();
  for (const { cache, degraded, slots } of await answers) {
    expect([cache.status, degraded, slots.length]).toEqual(['stale', undefined, 4]);
  }
  expect(await asked(edge, 'shoes')).toBe(2);
  const next = await edge.ads('q=shoes', { headers });
  expect([next.cache.status, next.slots.length]).toEqual(['memory', 1]);
});

it('past that, the answer waits for the backend', async () => {
  const { edge, headers } = await warm();
  await edge.backend({ candidates: [CANDIDATES[0]!] });
  edge.later(15);
  const { cache, slots } = await edge.ads('q=shoes', { headers });
  expect([cache.status, slots.length]).toEqual(['miss', 1]);
});

it('a list without ads lives a quarter as long, since what is missing may be booked any moment', async () => {
  const { edge, headers } = await warm();
  await edge.backend({ candidates: [] });
  expect((await edge.ads('q=boots', { headers })).slots).toEqual([]);
  await edge.backend({ candidates: [CANDIDATES[0]!] });
  edge.later(2.4);
  const statuses = [(await edge.ads('q=boots', { headers })).cache.status];
  edge.later(0.2);
  for (let i = 0; i < 2; i++) statuses.push((await edge.ads('q=boots', { headers })).cache.status);
  expect(statuses).toEqual(['memory', 'stale', 'memory']);
  expect(await asked(edge, 'boots')).toBe(2);
});

it('a leader whose call never ends holds nobody up: who follows it asks for itself', async () => {
  const { edge, headers } = await warm({ BACKEND_DEADLINE_MS: '6000' });
  edge.deadline(60_000);
  await edge.backend({ retrieve: 'hold' });
  const leader = edge.ads('q=boots', { headers });
  await expect.poll(() => asked(edge, 'boots')).toBe(1);
  await edge.backend({ retrieve: 'ok' });
  const follower = await edge.ads('q=boots', { headers });
  expect([follower.slots.length, follower.degraded]).toEqual([4, undefined]);
  expect(await asked(edge, 'boots')).toBe(2);
  expect((await edge.ads('q=boots', { headers })).cache.status).toBe('memory');
  await edge.release();
  expect((await leader).requestId).not.toBe(follower.requestId);
});
