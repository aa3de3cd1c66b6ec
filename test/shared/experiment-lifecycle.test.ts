import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { assign } from '../../shared/assignment.ts';
import { ExperimentDefinition } from '../../shared/experiment-definition.ts';
import { differences, judge, type LifecycleAction } from '../../shared/experiment-lifecycle.ts';
import { parse } from '../../shared/problem.ts';
import { sampleExperiment } from '../setup/samples.ts';

const running = sampleExperiment({ buckets: [2_000, 4_000], targeting: { share: 0.5 } });
const arms = running.arms.map((arm) => ({ ...arm, weight: arm.key === 'control' ? 3 : 1 }));
const naming = arms.map((arm) => ({ ...arm, parameters: { ...arm.parameters, model: 'next' } }));
const as = (
  status: ExperimentDefinition['status'],
  change: Partial<ExperimentDefinition> = {},
): ExperimentDefinition => ({
  ...running,
  ...change,
  status,
});
const sticky = (change: Partial<ExperimentDefinition>) => as('running', { sticky: true, version: 2, ...change });

test.each<[string, ExperimentDefinition | undefined, ExperimentDefinition, LifecycleAction, RegExp | undefined]>([
  ['something new', undefined, running, 'create', undefined],
  ['the same', running, { ...running }, 'none', undefined],
  ['the start of a draft', as('draft'), running, 'start', undefined],
  ['any edit of a draft', as('draft'), as('draft', { arms, layer: 'other' }), 'edit', undefined],
  ['a wider range', running, as('running', { buckets: [1_000, 4_000] }), 'ramp', undefined],
  ['a greater share', running, as('running', { targeting: { share: 1 } }), 'ramp', undefined],
  ['no share any more', running, as('running', { targeting: {} }), 'ramp', undefined],
  ['another description', running, as('running', { description: 'x' }), 'edit', undefined],
  ['a narrower range', running, as('running', { buckets: [2_000, 3_999] }), 'ramp', /take units of \[2000, 4000\) out/],
  ['a moved range', running, as('running', { buckets: [2_001, 9_000] }), 'ramp', /out/],
  ['a smaller share', running, as('running', { targeting: { share: 0.4 } }), 'ramp', /share of 0.4/],
  ['other weights', running, as('running', { arms }), 'edit', /arms.control.weight decides .* version 2 or later/],
  ['another control', running, as('running', { control: 'lower' }), 'edit', /control decides/],
  ['records of arms', running, as('running', { sticky: true }), 'edit', /sticky decides/],
  ['a block of those who are in', sticky({}), sticky({ minVersion: 2 }), 'edit', /minVersion of 2 would .* out/],
  ['a block under a new version', sticky({}), sticky({ version: 3, minVersion: 3 }), 'restart', undefined],
  ['a block that is lifted', sticky({ minVersion: 2 }), sticky({}), 'edit', undefined],
  ['another counterfactual log', running, as('running', { counterfactualShare: 0.2 }), 'edit', undefined],
  ['arms in another order', running, as('running', { arms: running.arms.toReversed() }), 'edit', /arms decides/],
  [
    'other targeting',
    running,
    as('running', { targeting: { share: 0.5, markets: ['us'] } }),
    'edit',
    /targeting.markets/,
  ],
  ['other weights as a new version', running, as('running', { arms, version: 2 }), 'restart', undefined],
  ['a stop', running, as('stopped'), 'stop', undefined],
  ['a draft of what runs', running, as('draft', { version: 2 }), 'edit', /stop it/],
  ['the archive for what runs', running, as('archived', { version: 2 }), 'archive', /stop it/],
  ['a start of what was stopped', as('stopped'), running, 'restart', /under version 2 or later/],
  ['the same as a new version', as('stopped'), as('running', { version: 2 }), 'restart', undefined],
  ['other arms of what was stopped', as('stopped'), as('stopped', { arms }), 'edit', /has run/],
  ['a wider range of what was stopped', as('stopped'), as('stopped', { buckets: [0, 9_000] }), 'edit', /has run/],
  ['an arm for everybody', running, as('stopped', { shipped: 'control' }), 'ship', undefined],
  ['an arm of what was stopped', as('stopped'), as('stopped', { shipped: 'control' }), 'ship', undefined],
  ['an arm no longer for everybody', as('stopped', { shipped: 'control' }), as('stopped'), 'withdraw', undefined],
  [
    'an arm that names a model',
    as('running', { arms: naming }),
    as('stopped', { arms: naming, shipped: 'lower' }),
    'ship',
    /names a model/,
  ],
  ['an arm of a draft', as('draft'), as('stopped', { shipped: 'control' }), 'ship', /cannot become stopped/],
  [
    'a new run of what was shipped',
    as('stopped', { shipped: 'control' }),
    as('running', { version: 2 }),
    'restart',
    undefined,
  ],
  [
    'an arm of what is archived no longer for everybody',
    as('archived', { shipped: 'control' }),
    as('archived'),
    'withdraw',
    undefined,
  ],
  [
    'another arm of what is archived and ships one',
    as('archived', { shipped: 'control' }),
    as('archived', { shipped: 'lower' }),
    'ship',
    /another key/,
  ],
  ['another arm of what is archived', as('archived'), as('archived', { shipped: 'control' }), 'ship', /another key/],
  ['the archive', as('stopped'), as('archived'), 'archive', undefined],
  ['the archive for a draft', as('draft'), as('archived'), 'archive', undefined],
  ['what is archived', as('archived'), as('running', { version: 9 }), 'restart', /another key/],
  ['a lower version', as('running', { version: 3 }), as('running', { version: 2 }), 'restart', /version 3 or later/],
])('%s', (_, before, after, action, refusal) => {
  expect(ExperimentDefinition.safeParse(after).success).toBe(true);
  const judged = judge(before, after);
  expect(judged.action).toBe(action);
  if (refusal === undefined) expect(judged.refusal).toBeUndefined();
  else expect(judged.refusal).toMatch(refusal);
});

test.each<[Partial<ExperimentDefinition>, RegExp]>([
  [
    { status: 'running', shipped: 'control' },
    /shipped: expected an experiment that is stopped, got one that is running/,
  ],
  [{ status: 'stopped', shipped: 'winner' }, /shipped: expected one of control, lower, got winner/],
])('an arm is shipped by its key, and by an experiment that has ended: %j', (change, message) => {
  expect(() => parse(ExperimentDefinition, { ...running, ...change }, 'experiment')).toThrow(message);
});

describe('a change of a running experiment that is not refused', () => {
  const changes = fc.record(
    {
      buckets: fc.constantFrom<[number, number]>(
        [2_000, 4_000],
        [1_500, 4_000],
        [2_000, 7_000],
        [0, 10_000],
        [2_500, 4_000],
      ),
      targeting: fc.constantFrom<ExperimentDefinition['targeting']>(
        { share: 0.5 },
        { share: 0.8 },
        {},
        undefined,
        { share: 0.2 },
        { markets: ['us'] },
      ),
      arms: fc.constantFrom(running.arms, running.arms, arms, running.arms.toReversed()),
      description: fc.constantFrom('a', 'b'),
      layer: fc.constantFrom('ranking', 'ranking', 'other'),
      diversion: fc.constantFrom<ExperimentDefinition['diversion']>(undefined, undefined, 'query'),
      sticky: fc.constantFrom(undefined, undefined, true, true),
      minVersion: fc.constantFrom(undefined, 1, 2),
    },
    { requiredKeys: [] },
  );
  const visit = (unit: string) => ({
    units: { user: unit, query: `q${unit}`, 'query-day': `d${unit}` },
    market: 'gb',
    locale: 'en',
    device: 'mobile' as const,
  });
  const units = Array.from({ length: 300 }, (_, i) => `unit-${i}`);
  /** What some of the visitors carry; only a sticky experiment reads it. */
  const recordOf = (i: number) => new Map(i % 3 === 0 ? [[running.key, { arm: 'lower', version: 1 }]] : []);
  const armsOf = (experiment: ExperimentDefinition) =>
    new Map(
      units.flatMap((unit, i) =>
        assign(visit(unit), [experiment], { sticky: recordOf(i) }).map(({ arm }) => [unit, arm.key] as const),
      ),
    );

  it.each([
    ['as it is dealt', running],
    ['by records of the version before', sticky({})],
  ])('moves nobody who is in %s', (_, from) => {
    const before = armsOf(from);
    let allowed = 0;
    fc.assert(
      fc.property(changes, (change) => {
        const after: ExperimentDefinition = { ...from, ...change };
        if (judge(from, after).refusal !== undefined || !ExperimentDefinition.safeParse(after).success) return;
        allowed++;
        const now = armsOf(after);
        for (const [unit, arm] of before) expect(now.get(unit)).toBe(arm);
      }),
      { numRuns: 500, seed: 3 },
    );
    expect(before.size).toBeGreaterThan(10);
    expect(allowed).toBeGreaterThan(10);
  });
});

it('names each place where two definitions differ, arms by key', () => {
  const after = as('running', { arms, buckets: [0, 4_000], targeting: { share: 1 }, version: 2 });
  expect(differences(running, after)).toEqual([
    { path: 'buckets', from: [2_000, 4_000], to: [0, 4_000] },
    { path: 'arms.control.weight', from: 1, to: 3 },
    { path: 'targeting.share', from: 0.5, to: 1 },
    { path: 'version', from: undefined, to: 2 },
  ]);
  const guarded = (margin: number) =>
    as('running', {
      rules: { primary: 'rpm', guardrails: [margin, 0.02].map((each, i) => ({ metric: `metric-${i}`, margin: each })) },
    });
  expect(differences(guarded(0.01), guarded(0.05)).map(({ path }) => path)).toEqual(['rules.guardrails']);
  expect(differences(undefined, running).find(({ path }) => path === 'arms')?.to).toEqual(['control', 'lower']);
});
