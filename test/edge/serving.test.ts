import { describe, expect, it } from 'vitest';
import { eligible, killSet } from '../../edge/eligibility.ts';
import { Serving } from '../../edge/serving.ts';
import type { Visit } from '../../shared/assignment.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { armOf, BUCKETS } from '../../shared/experiment.ts';
import { fingerprint, resolvePlan } from '../../shared/plan.ts';

const experiment = DEFAULT_CONFIG.experiments[0]!;
const visit = (user: string): Visit => ({ units: { user }, market: 'us', locale: 'en', device: 'desktop' });

describe('Serving', () => {
  it('gives every unit the plan of its arm, and one fingerprint to all units of an arm', async () => {
    const serving = new Serving(DEFAULT_CONFIG);
    const fingerprints = new Map<string, Set<string>>();
    for (let i = 0; i < 200; i++) {
      const assigned = await serving.planOf(visit(`unit-${i}`));
      const arm = armOf(experiment, `unit-${i}`);
      expect(assigned.assignments).toEqual([{ experiment: experiment.key, layer: experiment.layer, arm: arm.key }]);
      expect(assigned.plan).toEqual(resolvePlan(DEFAULT_CONFIG.plan, [arm.parameters]));
      expect(assigned.fingerprint).toBe(await fingerprint(assigned.plan));
      fingerprints.set(arm.key, (fingerprints.get(arm.key) ?? new Set()).add(assigned.fingerprint));
    }
    expect([...fingerprints.values()].map(({ size }) => size)).toEqual([1, 1]);
    expect(new Set([...fingerprints.values()].flatMap((each) => [...each])).size).toBe(2);
  });

  it('gives two arms with the same parameters one fingerprint, and so one cache entry', async () => {
    const arms = experiment.arms.map((arm) => ({
      ...arm,
      parameters: { retrievers: ['dense' as const, 'lexical' as const] },
    }));
    const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [{ ...experiment, arms }] });
    const seen = new Map<string, string>();
    for (let i = 0; i < 50; i++) {
      const { assignments, fingerprint: print } = await serving.planOf(visit(`unit-${i}`));
      seen.set(assignments[0]!.arm, print);
    }
    expect(seen.size).toBe(2);
    expect(new Set(seen.values()).size).toBe(1);
  });

  it('keeps apart the plans of experiments whose arms have the same names', async () => {
    const deep = (key: string, buckets: [number, number], k: number) => ({
      ...experiment,
      key,
      buckets,
      arms: experiment.arms.map((arm) => ({ ...arm, parameters: { k } })),
    });
    const serving = new Serving({
      ...DEFAULT_CONFIG,
      experiments: [deep('left', [0, BUCKETS / 2], 10), deep('right', [BUCKETS / 2, BUCKETS], 20)],
    });
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { assignments, plan } = await serving.planOf(visit(`unit-${i}`));
      seen.add(`${assignments[0]!.experiment} ${plan.k}`);
    }
    expect([...seen].sort()).toEqual(['left 10', 'right 20']);
  });

  it('adds up the arms of several layers, the later layer last', async () => {
    const other = {
      ...experiment,
      key: 'depth',
      layer: 'z-depth',
      arms: experiment.arms.map((arm) => ({ ...arm, parameters: { k: arm.key === 'control' ? 10 : 20 } })),
    };
    const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [other, experiment] });
    const { assignments, plan } = await serving.planOf(visit('unit-1'));
    expect(assignments.map(({ layer }) => layer)).toEqual(['retrieval', 'z-depth']);
    expect(plan).toEqual({
      ...DEFAULT_CONFIG.plan,
      ...armOf(experiment, 'unit-1').parameters,
      ...armOf(other, 'unit-1').parameters,
    });
  });
});

it('asks requests for what running experiments need, and for nothing that others did', () => {
  const asks = (status: 'running' | 'stopped' | 'draft') => {
    const byQuery = { ...experiment, key: 'by-query', layer: 'other', status, diversion: 'query' as const };
    const kept = { ...experiment, key: 'kept', layer: 'third', status, sticky: true };
    const { diversions, isSticky } = new Serving({ ...DEFAULT_CONFIG, experiments: [experiment, byQuery, kept] });
    return [[...diversions], isSticky];
  };
  expect(asks('running')).toEqual([['user', 'query'], true]);
  for (const status of ['stopped', 'draft'] as const) expect(asks(status)).toEqual([['user'], false]);
});

it('remembers plans, and not those of all the combinations that a dozen layers have', async () => {
  const layers = Array.from({ length: 12 }, (_, i) => ({ ...experiment, key: `of-${i}`, layer: `layer-${i}` }));
  const serving = new Serving({ ...DEFAULT_CONFIG, experiments: layers });
  const planOf = async (unit: number) => (await serving.planOf(visit(`unit-${unit}`))).plan;
  const first = await planOf(0);
  expect(await planOf(0)).toBe(first);
  for (let unit = 1; unit < 2_000; unit++) await planOf(unit);
  expect(await planOf(0)).not.toBe(first);
  expect(await planOf(0)).toEqual(first);
});

describe('an interleaving', () => {
  const both = { ...experiment, kind: 'interleaving' as const };
  const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [both] });

  it('has the plans of both arms, with the keys that a split would give them', async () => {
    const { assignments, interleaving, plan } = await serving.planOf(visit('unit-1'));
    expect(assignments).toEqual([{ experiment: experiment.key, layer: experiment.layer, arm: 'interleaved' }]);
    expect(interleaving!.teams.map(({ arm }) => arm)).toEqual(experiment.arms.map(({ key }) => key));
    for (const [i, team] of interleaving!.teams.entries()) {
      expect(team.plan).toEqual(resolvePlan(DEFAULT_CONFIG.plan, [experiment.arms[i]!.parameters]));
      expect(team.fingerprint).toBe(await fingerprint(team.plan));
    }
    expect(plan).toEqual(interleaving!.teams.find(({ arm }) => arm === experiment.control)!.plan);
  });

  it('leaves each of its plans what the other layers make of it, and is that of the control wherever that stands', async () => {
    const depth = {
      ...experiment,
      key: 'depth',
      layer: 'depth',
      arms: experiment.arms.map((arm) => ({ ...arm, parameters: { k: 7 } })),
    };
    const controlLast = { ...both, arms: both.arms.toReversed() };
    const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [depth, controlLast] });
    const { interleaving, plan, fingerprint } = await serving.planOf(visit('unit-1'));
    const [treatment, control] = interleaving!.teams;
    expect([treatment.plan.k, control.plan.k]).toEqual([7, 7]);
    expect(treatment.plan).not.toEqual(control.plan);
    expect({ arm: experiment.control, plan, fingerprint }).toEqual(control);
  });

  it('is one arm for those who force it', async () => {
    const overrides = new Map([[experiment.key, 'treatment']]);
    const { assignments, interleaving } = await serving.planOf(visit('unit-1'), { overrides });
    expect([assignments[0]!.arm, interleaving]).toEqual(['treatment', undefined]);
  });
});

describe('eligible', () => {
  it('takes out what is on the kill list and keeps the order', () => {
    const candidates = ['c', 'a', 'b'].map((adId) => ({ adId, campaignId: `of-${adId}`, advertiserId: 'one' }));
    const [c, a, b] = candidates;
    const left = (...killList: string[]) =>
      eligible(candidates, { killed: killSet(killList), market: 'us', device: 'mobile', atMs: 0 });
    expect(left()).toEqual(candidates);
    expect(left('a', 'x')).toEqual([c, b]);
    expect(left('campaign/of-b', 'campaign/c')).toEqual([c, a]);
    expect(left('advertiser/one')).toEqual([]);
    expect(left('one', 'of-b', 'advertiser/of-a')).toEqual(candidates);
  });

  it('takes out the flags that a rule holds back, and what is held back in the market alone', () => {
    const candidates: Parameters<typeof eligible>[0] = [
      { adId: 'plain', campaignId: 'c', advertiserId: 'p' },
      { adId: 'wine', campaignId: 'c', advertiserId: 'p', policyFlags: ['alcohol'] },
      { adId: 'both', campaignId: 'd', advertiserId: 'q', policyFlags: ['adult', 'alcohol'] },
    ];
    const left = (market: string, ...killList: string[]) =>
      eligible(candidates, { killed: killSet(killList), market, device: 'mobile', atMs: 0 }).map(({ adId }) => adId);
    expect(left('us', 'policy/alcohol')).toEqual(['plain']);
    expect(left('us', 'policy/adult')).toEqual(['plain', 'wine']);
    expect(left('us', 'us/policy/adult')).toEqual(['plain', 'wine']);
    expect(left('gb', 'us/policy/alcohol')).toEqual(['plain', 'wine', 'both']);
    expect(left('us', 'us/campaign/c')).toEqual(['both']);
    expect(left('us', 'us/advertiser/q', 'gb/advertiser/p')).toEqual(['plain', 'wine']);
    expect(left('us', 'alcohol', 'campaign/alcohol', 'policy/c')).toEqual(['plain', 'wine', 'both']);
  });

  it('judges device and hour for the request, not for the list', () => {
    const bare = { campaignId: 'c', advertiserId: 'p' };
    const schedule = { timeZone: 'Europe/London', hours: [{ days: [1], from: '09:00', to: '10:00' }] };
    const candidates: Parameters<typeof eligible>[0] = [
      { ...bare, adId: 'any' },
      { ...bare, adId: 'mobile', devices: ['mobile'] },
      { ...bare, adId: 'nowhere', devices: [] },
      { ...bare, adId: 'monday', schedule },
    ];
    const ids = (device: 'mobile' | 'desktop', instant: string) =>
      eligible(candidates, { killed: killSet([]), market: 'us', device, atMs: Date.parse(instant) }).map(
        ({ adId }) => adId,
      );
    expect(ids('mobile', '2026-01-12T09:30:00Z')).toEqual(['any', 'mobile', 'monday']);
    expect(ids('desktop', '2026-01-12T10:00:00Z')).toEqual(['any']);
  });
});
