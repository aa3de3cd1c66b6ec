import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson } from '../../shared/digest.ts';
import { fingerprint, Plan, type PlanPatch, resolvePlan } from '../../shared/plan.ts';

const base = Plan.parse({ retrievers: ['lexical'], k: 40, minRelevance: 0.2 });
const plans = fc.record({
  retrievers: fc.array(fc.constantFrom('lexical' as const, 'dense' as const), { minLength: 1, maxLength: 3 }),
  k: fc.integer({ min: 1, max: 200 }),
  minRelevance: fc.float({ min: 0, max: 1, noNaN: true }),
});

test('two plans share a fingerprint exactly when they are the same plan', async () => {
  await fc.assert(
    fc.asyncProperty(plans, plans, async (a, b) => {
      const same = canonicalJson(Plan.parse(a)) === canonicalJson(Plan.parse(b));
      expect((await fingerprint(a)) === (await fingerprint(b))).toBe(same);
    }),
  );
});

test('the order and repetition of retrievers do not make a new plan', async () => {
  const one = await fingerprint({ ...base, retrievers: ['lexical', 'dense'] });
  expect(await fingerprint({ ...base, retrievers: ['dense', 'lexical', 'dense'] })).toBe(one);
});

test('patches apply in order and absent fields keep the default', () => {
  const patches: PlanPatch[] = [{ k: 10 }, { retrievers: ['dense'], k: 20 }];
  expect(resolvePlan(base, patches)).toEqual({ retrievers: ['dense'], k: 20, minRelevance: 0.2 });
  expect(resolvePlan(base, [])).toEqual(base);
  expect(resolvePlan(base, [{ k: undefined }])).toEqual(base);
});

test('a patch out of range is refused', () => {
  expect(() => resolvePlan(base, [{ k: 0 }])).toThrow();
});
