/** What a call for candidates is told: how long it may still take, and which are too old. */
import { expect, it } from 'vitest';
import type { AdsRequest } from '../../edge/ads-request.ts';
import type { Lookup } from '../../edge/cache/tiered.ts';
import type { Retrieval } from '../../edge/cache/workers-cache.ts';
import { retrieve } from '../../edge/candidates.ts';
import type { Isolate } from '../../edge/isolate.ts';
import type { Ask } from '../../edge/resilience/origins.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { HarnessError } from '../../shared/problem.ts';

it('has what the cache and other calls left of the deadline, and never nothing', async () => {
  let elapsedMs = 5_000;
  const asks: Ask[] = [];
  const find = async ({ load }: Lookup) => {
    for (const laterMs of [0, 300, 900]) {
      elapsedMs += laterMs;
      await load({ urgent: true });
    }
    throw new HarnessError('backend_unavailable', 'away');
  };
  const isolate = {
    settings: { backendDeadlineMs: 1_000 },
    clock: { elapsed: () => elapsedMs },
    config: { generation: 7 },
    serving: () => ({ killedSince: 6 }),
    cache: { find },
    retrieve: async ({ ask }: Retrieval) => void asks.push(ask),
  } as unknown as Isolate;
  const request = { normalized: 'shoes', market: 'us', locale: 'en' } as AdsRequest;
  const plan = { plan: DEFAULT_CONFIG.plan, fingerprint: 'one' };
  const { rung, timings } = await retrieve(isolate, request, plan, { trace: () => '', waitUntil: () => undefined });
  expect(asks.map(({ deadlineMs }) => deadlineMs)).toEqual([1_000, 700, 50]);
  expect(asks[0]!.since).toBe(6);
  expect([rung, timings.backendMs]).toEqual(['empty', 1_200]);
});
