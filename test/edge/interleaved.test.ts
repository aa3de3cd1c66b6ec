/** What an interleaved page is made of, and what it says of how its two lists came. */
import { describe, expect, it } from 'vitest';
import type { AdsRequest } from '../../edge/ads-request.ts';
import type { Found, Lookup } from '../../edge/cache/tiered.ts';
import type { CandidateSources } from '../../edge/candidates.ts';
import { type Page, retrievePage } from '../../edge/interleaved.ts';
import { Serving } from '../../edge/serving.ts';
import type { Visit } from '../../shared/assignment.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { HarnessError } from '../../shared/problem.ts';
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

const VISIT: Visit = { units: { user: 'u' }, market: 'us', locale: 'en', device: 'desktop' };

/** The page of two lists, by the number of the team that each is for. */
async function pageOf(serving: Serving, find: (team: number) => Promise<Found>): Promise<Page> {
  const assigned = await serving.planOf(VISIT);
  const prints = assigned.interleaving!.teams.map(({ fingerprint }) => fingerprint);
  const sources = {
    settings: { backendDeadlineMs: 1_000 },
    clock: { elapsed: () => 0 },
    config: { generation: 7 },
    serving: () => serving,
    cache: { find: ({ key }: Lookup) => find(prints.indexOf(key.plan)) },
  } as unknown as CandidateSources;
  return retrievePage(sources, { ...request }, assigned, { seed: 'seed', trace: () => '', waitUntil: () => undefined });
}

it.each<[string, [Found, Found], string, string, string | undefined]>([
  ['two fresh lists', [FRESH, FRESH], 'fresh', 'memory', undefined],
  ['a fresh and a stale one', [FRESH, STALE], 'stale', 'stale', 'backend_unavailable'],
  ['a stale and a fresh one', [STALE, FRESH], 'stale', 'stale', 'backend_unavailable'],
  ['two of other ages', [FRESH, { ...FRESH, status: 'colo', ageMs: 200 }], 'fresh', 'colo', undefined],
  ['the older first', [{ ...FRESH, status: 'colo', ageMs: 200 }, FRESH], 'fresh', 'colo', undefined],
  ['a stale one and one by a second call', [STALE, HEDGED], 'hedge', 'miss', undefined],
  ['one by a second call and a stale one', [HEDGED, STALE], 'hedge', 'miss', undefined],
])('of %s: the lower rung, with its reason', async (_, found, rung, status, reason) => {
  const { retrieved, teamOf } = await pageOf(serving, async (team) => found[team]!);
  expect([retrieved.rung, retrieved.cache.status, retrieved.reason]).toEqual([rung, status, reason]);
  expect(teamOf?.size).toBe(CANDIDATES.length);
});

describe('a page that half its comparison is missing for', () => {
  const depth = { ...base!, key: 'depth', layer: 'depth' };
  const controlLast = { ...base!, kind: 'interleaving' as const, arms: base!.arms.toReversed() };
  const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [depth, controlLast] });
  const older = { ...entry, body: JSON.stringify({ ...answer, generation: 6 }) };
  const away = () => Promise.reject(new HarnessError('backend_unavailable', 'away'));

  it.each<[string, string, (team: number) => Promise<Found>]>([
    ['its control has no list', 'treatment', async (team) => (team === 1 ? away() : FRESH)],
    ['its treatment has no list', 'control', async (team) => (team === 0 ? away() : FRESH)],
    ['its lists are of two generations', 'control', async (team) => (team === 1 ? FRESH : { ...FRESH, entry: older })],
  ])('because %s is the %s arm alone, an exposure of the other layers only', async (_, arm, find) => {
    const { interleaving, assignments } = await serving.planOf(VISIT);
    const page = await pageOf(serving, find);
    expect(page).toMatchObject({
      retrieved: { answer: { generation: 7, candidates: CANDIDATES } },
      planFingerprint: interleaving!.teams.find((team) => team.arm === arm)!.fingerprint,
      teamOf: undefined,
    });
    expect(page.assignments).toEqual(assignments.filter(({ experiment }) => experiment === depth.key));
    expect(page.assignments).toHaveLength(1);
  });
});

it('is as long as the longer of its plans asks for, and drafted from both', async () => {
  const arms = base!.arms.map((arm, i) => ({ ...arm, parameters: { k: 2 + 2 * i } }));
  const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [{ ...base!, kind: 'interleaving', arms }] });
  const { retrieved, teamOf } = await pageOf(serving, async () => FRESH);
  expect(retrieved.answer!.candidates.map(({ adId }) => adId)).toEqual([...teamOf!.keys()]);
  expect(teamOf!.size).toBe(4);
});
