import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../shared/digest.ts';
import { fingerprint, Plan, type PlanPatch, RetrieverName, resolvePlan } from '../../shared/plan.ts';

const base = Plan.parse({ retrievers: ['lexical'], k: 40, minRelevance: 0.2 });
const anyPlan = fc.record(
  {
    retrievers: fc.array(fc.constantFrom(...RetrieverName.options), { minLength: 1, maxLength: 4 }),
    k: fc.integer({ min: 1, max: 200 }),
    minRelevance: fc.float({ min: 0, max: 1, noNaN: true }),
    adapterCutOff: fc.float({ min: 0, max: 1, noNaN: true }),
    denseGate: fc.float({ min: 0, max: 1, noNaN: true }),
    model: fc.string({ minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['retrievers', 'k', 'minRelevance'] },
);
type AnyPlan = typeof anyPlan extends fc.Arbitrary<infer T> ? T : never;
const SETTINGS = Object.keys(Plan.shape) as (keyof AnyPlan)[];

test('two plans share a fingerprint exactly when they are the same plan, whatever setting it is that differs', async () => {
  expect(SETTINGS.sort()).toEqual(['adapterCutOff', 'denseGate', 'k', 'minRelevance', 'model', 'retrievers']);
  await fc.assert(
    fc.asyncProperty(anyPlan, anyPlan, fc.constantFrom(...SETTINGS), async (a, other, setting) => {
      const b = { ...a, [setting]: other[setting] };
      const same = canonicalJson(Plan.parse(a)) === canonicalJson(Plan.parse(b));
      expect((await fingerprint(a)) === (await fingerprint(b))).toBe(same);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('the order and repetition of retrievers do not make a new plan', async () => {
  const one = await fingerprint({ ...base, retrievers: ['lexical', 'dense'] });
  expect(one).toMatch(/^[0-9a-f]{32}$/);
  expect(await fingerprint({ ...base, retrievers: ['dense', 'lexical', 'dense'] })).toBe(one);
});

test('patches apply in order and absent fields keep the default', () => {
  const patches: PlanPatch[] = [{ k: 10 }, { retrievers: ['dense'], k: 20 }];
  expect(resolvePlan(base, patches)).toEqual({ retrievers: ['dense'], k: 20, minRelevance: 0.2 });
  expect(resolvePlan(base, [])).toEqual(base);
  expect(resolvePlan(base, [{ k: undefined }])).toEqual(base);
});

test.each<PlanPatch>([
  { k: 0 },
  { k: 201 },
  { retrievers: [] },
  { minRelevance: -0.1 },
  { minRelevance: 1.1 },
  { adapterCutOff: -0.1 },
  { denseGate: 1.1 },
  { model: '' },
])('a patch out of range is refused: %j', (patch) => {
  expect(() => resolvePlan(base, [patch])).toThrow();
});
