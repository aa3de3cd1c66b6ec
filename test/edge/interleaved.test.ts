/** What an interleaved page says of how its two lists came. */
import { expect, it } from 'vitest';
import type { AdsRequest } from '../../edge/ads-request.ts';
import type { Found, Lookup } from '../../edge/cache/tiered.ts';
import { retrievePage } from '../../edge/interleaved.ts';
import type { Isolate } from '../../edge/isolate.ts';
import { Serving } from '../../edge/serving.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { CANDIDATES } from './stand-in.ts';

const [base] = DEFAULT_CONFIG.experiments;
const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [{ ...base!, kind: 'interleaving' }] });
const request = { normalized: 'shoes', market: 'us', locale: 'en' } as AdsRequest;
const timings = { totalMs: 3, encodeMs: 2, searchMs: 1 };
const answer = { generation: 7, model: 'm', spaceId: 's', candidates: CANDIDATES, timings };
const entry = { body: JSON.stringify(answer), storedAtMs: 0, softUntilMs: 0, hardUntilMs: 0 };

const FRESH: Found = { entry, status: 'memory', ageMs: 100 };
const HEDGED: Found = { entry, status: 'miss', ageMs: 0, hedged: true };
const STALE: Found = { entry, status: 'stale', ageMs: 70_000, reason: 'backend_unavailable' };

it.each<[string, [Found, Found], string, string, string | undefined]>([
  ['two fresh lists', [FRESH, FRESH], 'fresh', 'memory', undefined],
  ['a fresh and a stale one', [FRESH, STALE], 'stale', 'stale', 'backend_unavailable'],
  ['a stale and a fresh one', [STALE, FRESH], 'stale', 'stale', 'backend_unavailable'],
  ['a stale one and one by a second call', [STALE, HEDGED], 'hedge', 'miss', undefined],
  ['one by a second call and a stale one', [HEDGED, STALE], 'hedge', 'miss', undefined],
])('of %s: the lower rung, with its reason', async (_, found, rung, status, reason) => {
  const assigned = await serving.planOf({ units: { user: 'u' }, market: 'us', locale: 'en', device: 'desktop' });
  const prints = assigned.interleaving!.teams.map(({ fingerprint }) => fingerprint);
  const isolate = {
    settings: { backendDeadlineMs: 1_000 },
    clock: { elapsed: () => 0 },
    config: { generation: 7 },
    cache: { find: async ({ key }: Lookup) => found[prints.indexOf(key.plan)]! },
  } as unknown as Isolate;
  const context = { seed: 'seed', trace: () => '', waitUntil: () => undefined };
  const { retrieved, teamOf } = await retrievePage(isolate, request, assigned, context);
  expect([retrieved.rung, retrieved.cache.status, retrieved.reason]).toEqual([rung, status, reason]);
  expect(teamOf?.size).toBe(CANDIDATES.length);
});
