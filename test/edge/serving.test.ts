import { describe, expect, it } from 'vitest';
import { eligible, killSet } from '../../edge/eligibility.ts';
import { Serving } from '../../edge/serving.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { armOf } from '../../shared/experiment.ts';
import { fingerprint, resolvePlan } from '../../shared/plan.ts';

const experiment = DEFAULT_CONFIG.experiments[0]!;

describe('Serving', () => {
  it('gives every unit the plan of its arm, and one fingerprint to all units of an arm', async () => {
    const serving = new Serving(DEFAULT_CONFIG);
    const fingerprints = new Map<string, Set<string>>();
    for (let i = 0; i < 200; i++) {
      const assigned = await serving.planOf(`unit-${i}`);
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
      const { assignments, fingerprint: print } = await serving.planOf(`unit-${i}`);
      seen.set(assignments[0]!.arm, print);
    }
    expect(seen.size).toBe(2);
    expect(new Set(seen.values()).size).toBe(1);
  });

  it('adds up the arms of several layers, the later layer last', async () => {
    const other = {
      ...experiment,
      key: 'depth',
      layer: 'z-depth',
      arms: experiment.arms.map((arm) => ({ ...arm, parameters: { k: arm.key === 'control' ? 10 : 20 } })),
    };
    const serving = new Serving({ ...DEFAULT_CONFIG, experiments: [other, experiment] });
    const { assignments, plan } = await serving.planOf('unit-1');
    expect(assignments.map(({ layer }) => layer)).toEqual(['retrieval', 'z-depth']);
    expect(plan).toEqual({
      ...DEFAULT_CONFIG.plan,
      ...armOf(experiment, 'unit-1').parameters,
      ...armOf(other, 'unit-1').parameters,
    });
  });
});

describe('eligible', () => {
  it('takes out what is on the kill list and keeps the order', () => {
    const candidates = ['c', 'a', 'b'].map((adId) => ({ adId }));
    expect(eligible(candidates, killSet(['a', 'x']))).toEqual([{ adId: 'c' }, { adId: 'b' }]);
    expect(eligible(candidates, killSet([]))).toEqual(candidates);
  });
});
