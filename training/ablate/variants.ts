/**
 * The study of the recipe: each choice of HARNESS-LM (arXiv 2605.23572) against its alternative, everything else equal,
 * over several seeds. Small on purpose: a student of few layers, few steps. It shows which choice is better, not how
 * good the default bundle is.
 */
import { mean } from '../evaluate/metrics.ts';
import type { AlignSettings } from '../phases/align.ts';
import type { PruneStage } from '../phases/shrink.ts';

/** How large the study is. */
export interface AblationSettings {
  readonly seeds: readonly number[];
  /** Layers of the small student. */
  readonly layers: number;
  readonly alignSteps: number;
  readonly refineSteps: number;
  /** Texts, or pairs, a step. */
  readonly batch: number;
  /** Fine-tuning of the teacher with and without context: steps, pairs per step, and the ads that it is measured on. */
  readonly teacher: { readonly steps: number; readonly batch: number; readonly ads: number };
  /** Validation queries behind each number. */
  readonly queries: number;
}

/** One way to make the small student. */
export interface Variant {
  readonly name: string;
  /** Objective of phase 2; absent where there is none. */
  readonly objective?: NonNullable<AlignSettings['objective']>;
  readonly stages: readonly PruneStage[];
  /** Steps of phase 3; 0 where there is none. */
  readonly refineSteps: number;
}

/** From `layers` to `to` by thirds of what is to go, the last size for half of the steps; at most three sizes. */
export function progressive(layers: number, to: number): PruneStage[] {
  const sizes = [...new Set([Math.ceil((2 * layers + to) / 3), Math.ceil((layers + 2 * to) / 3), to])].filter(
    (size) => size < layers || size === to,
  );
  if (sizes.length === 1) return [{ layers: to, share: 1 }];
  return sizes.map((size, i) => ({ layers: size, share: i === sizes.length - 1 ? 0.5 : 0.5 / (sizes.length - 1) }));
}

/** @param layers Of the teacher. */
export function variants(layers: number, settings: AblationSettings): Variant[] {
  const { alignSteps, refineSteps, layers: to } = settings;
  const inStages = progressive(layers, to);
  const jump: PruneStage[] = [{ layers: to, share: 1 }];
  const aligned = (objective: NonNullable<AlignSettings['objective']>): Variant => ({
    name: objective,
    objective,
    stages: inStages,
    refineSteps: 0,
  });
  // Cosine is not among them: on vectors of length one it is L2 but for a factor.
  return [
    aligned('l2'),
    aligned('kernel'),
    aligned('kl'),
    { name: 'one jump', objective: 'l2', stages: jump, refineSteps: 0 },
    { name: 'full', objective: 'l2', stages: inStages, refineSteps },
    // As many steps as the whole recipe takes.
    { name: 'naive', stages: jump, refineSteps: alignSteps + refineSteps },
  ];
}

/** What the paper finds: the first is better than the second. */
export const ORDERINGS = [
  ['l2', 'kernel', 'L2 > kernel alignment'],
  ['kernel', 'kl', 'kernel alignment > KL'],
  ['l2', 'one jump', 'progressive > one jump, at equal steps'],
  ['full', 'l2', 'phase 3 > phase 2'],
  ['full', 'naive', 'full recipe > naive asymmetric'],
  ['teacher with context', 'teacher without context', 'oracle context > none, for the teacher'],
] as const;

/** P@10 of one variant under one seed. */
export interface Measured {
  readonly variant: string;
  readonly seed: number;
  readonly p10: number;
  readonly ndcg10: number;
}

/** One claim against the measurements. */
export interface Ordering {
  readonly claim: string;
  /** Mean P@10 over the seeds. */
  readonly first: number;
  readonly second: number;
  /** Differences of P@10, a seed each. */
  readonly differences: readonly number[];
  /** 'as the paper' where it holds under every seed, 'reversed' where it holds under none, else 'mixed'. */
  readonly outcome: 'as the paper' | 'reversed' | 'mixed';
}

/** The claims of `ORDERINGS` on what was measured; one whose variants are not both there is left out. */
export function orderings(measured: readonly Measured[], seeds: readonly number[]): Ordering[] {
  const of = (variant: string) =>
    seeds.flatMap((seed) =>
      measured.filter((run) => run.variant === variant && run.seed === seed).map(({ p10 }) => p10),
    );
  return ORDERINGS.flatMap(([a, b, claim]) => {
    const [first, second] = [of(a), of(b)];
    if (first.length === 0 || first.length !== second.length) return [];
    const differences = first.map((value, i) => value - second[i]!);
    const held = differences.filter((difference) => difference > 0).length;
    const outcome = held === differences.length ? 'as the paper' : held === 0 ? 'reversed' : 'mixed';
    return [{ claim, first: mean(first), second: mean(second), differences, outcome }];
  });
}
