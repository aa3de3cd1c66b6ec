/** The study's bookkeeping: schedules of equal length, and when a claim of the paper holds. */
import { describe, expect, it } from 'vitest';
import { ABLATION } from '../../../training/ablate/ablate.ts';
import { ORDERINGS, orderings, progressive, variants } from '../../../training/ablate/variants.ts';
import { stageSteps } from '../../../training/phases/shrink.ts';

describe('progressive', () => {
  it.each([
    [6, 2, [5, 4, 2]],
    [12, 3, [9, 6, 3]],
    [4, 3, [3]],
    [3, 3, [3]],
  ])('shrinks %i layers to %i by way of sizes between', (from, to, sizes) => {
    const stages = progressive(from, to);
    expect(stages.map(({ layers }) => layers)).toEqual(sizes);
    // The same number of steps as one jump.
    expect(stageSteps(stages, 100).reduce((sum, steps) => sum + steps)).toBe(100);
  });
});

describe('variants', () => {
  it('names both sides of every claim about students, each with as many steps as its rival', () => {
    const all = variants(6, ABLATION);
    const names = new Set(all.map(({ name }) => name));
    for (const [a, b] of ORDERINGS.filter(([a]) => !a.startsWith('teacher'))) {
      expect(names).toContain(a);
      expect(names).toContain(b);
    }
    const steps = (name: string) => {
      const { objective, refineSteps } = all.find((variant) => variant.name === name)!;
      return (objective ? ABLATION.alignSteps : 0) + refineSteps;
    };
    expect(steps('one jump')).toBe(steps('l2'));
    expect(steps('naive')).toBe(steps('full'));
  });
});

describe('orderings', () => {
  const run = (variant: string, seed: number, p10: number) => ({ variant, seed, p10, ndcg10: p10 });

  it('says where a claim holds under every seed, under none, or under some', () => {
    const measured = [
      ...[0.5, 0.6, 0.7].map((p10, i) => run('l2', i + 1, p10)),
      ...[0.4, 0.5, 0.6].map((p10, i) => run('kernel', i + 1, p10)),
      ...[0.5, 0.6, 0.7].map((p10, i) => run('kl', i + 1, p10)),
      ...[0.4, 0.7, 0.6].map((p10, i) => run('one jump', i + 1, p10)),
    ];
    const found = new Map(orderings(measured, [1, 2, 3]).map((ordering) => [ordering.claim, ordering]));
    expect(found.get('L2 > kernel alignment')!.outcome).toBe('as the paper');
    expect(found.get('L2 > kernel alignment')!.first).toBeCloseTo(0.6);
    expect(found.get('kernel alignment > KL')!.outcome).toBe('reversed');
    expect(found.get('progressive > one jump, at equal steps')!.outcome).toBe('mixed');
    for (const difference of found.get('kernel alignment > KL')!.differences) expect(difference).toBeCloseTo(-0.1);
    // What was not run is not claimed.
    expect(found.size).toBe(3);
  });

  it('pairs runs by seed, in whatever order they come', () => {
    const measured = [run('kernel', 2, 0.1), run('l2', 1, 0.3), run('l2', 2, 0.4), run('kernel', 1, 0.2)];
    expect(orderings(measured, [1, 2])[0]!.differences.map((d) => d.toFixed(1))).toEqual(['0.1', '0.3']);
  });
});
