/** What phase 1 learns to tell apart: the teacher's vectors of clicked queries, and the ads that it wrongly takes for relevant. */
import type { RecipeContext } from '../context.ts';
import type { ClickedQuery } from '../data/pairs.ts';
import { mineNegatives } from '../phases/negatives.ts';
import { openTargets } from '../phases/prepare.ts';
import type { Teacher } from '../teacher/teacher.ts';
import { bookings, type CatalogueVectors } from './catalogue.ts';

/** The teacher's vectors of what it reads of queries, float32 [inputs, dimension], each computed once and kept on disk. */
export async function queryVectors(
  { config }: RecipeContext,
  { teacher, inputs }: { teacher: Teacher; inputs: readonly string[] },
): Promise<Float32Array> {
  const targets = openTargets(teacher, {
    role: 'query',
    parts: config.data.parts,
    label: 'query vectors',
    total: inputs.length,
    unit: 'queries',
  });
  const vectors = await targets.store.vectorsOf(inputs, targets);
  targets.stop();
  return vectors;
}

export interface HardNegativesOptions {
  readonly queries: readonly ClickedQuery[];
  /** Of the queries, float32 [queries, dimension]. */
  readonly vectors: Float32Array;
  readonly catalogue: Pick<CatalogueVectors, 'ads' | 'vectors'>;
  readonly dimension: number;
}

/** Rows of ads for each query, as `finetune.negatives` says; what mining passed over is printed. */
export async function hardNegatives(
  { config, say }: RecipeContext,
  { queries, vectors, catalogue, dimension }: HardNegativesOptions,
) {
  const { negatives, skipped } = await mineNegatives({
    queries,
    vectors,
    ads: catalogue.vectors,
    dimension,
    booked: bookings(catalogue.ads),
    ...config.finetune.negatives,
  });
  say(`hard negatives: passed over ${skipped.clicked} clicked ads and ${skipped.aboveCap} above the cap`);
  return negatives;
}
