/**
 * A retrieval plan: what an arm of an experiment may change about retrieval. The plan's fingerprint is part of the cache
 * key, so two arms with the same plan share an entry and two arms with different plans never do.
 */
import * as z from 'zod';
import { canonicalJson, sha256Hex } from './digest.ts';

export const RetrieverName = z.enum(['lexical', 'dense', 'keyword']);
export type RetrieverName = z.infer<typeof RetrieverName>;

const SETTINGS = {
  /** Which retrievers run. */
  retrievers: z.array(RetrieverName).min(1),
  /** Candidates that leave the backend, after fusion. */
  k: z.int().min(1).max(200),
  /** Candidates whose calibrated relevance lies below it are dropped. */
  minRelevance: z.number().min(0).max(1),
  /**
   * Candidates are dropped, too, whose probability of being relevant lies below it by the cosine adapter of the bundle
   * (cosine-adapter.ts), which knows how near the query's best ads are; absent, minRelevance alone decides.
   */
  adapterCutOff: z.number().min(0).max(1).optional(),
  /**
   * Vectors are used only where, judging by what words and keywords found, the probability that they find more is at
   * least this (gpu-backend/retrieval/gate.ts); absent, always.
   */
  denseGate: z.number().min(0).max(1).optional(),
  /** Name of the bundle whose student encodes the query, of those that the backend has open; absent, the one served. */
  model: z.string().min(1).max(128).optional(),
};

/** All of them, the retrievers in canonical (sorted, unique) order. */
export const Plan = z
  .strictObject({ ...SETTINGS, retrievers: SETTINGS.retrievers.transform((names) => [...new Set(names)].sort()) })
  .meta({ id: 'Plan' });
export type Plan = z.infer<typeof Plan>;

/** What an arm sets; absent fields keep the default plan's value. */
export const PlanPatch = z.strictObject(SETTINGS).partial().meta({ id: 'PlanPatch' });
export type PlanPatch = z.infer<typeof PlanPatch>;

/** The default plan with the arms' patches applied in layer order; the result is complete and canonical. */
export function resolvePlan(base: Plan, patches: readonly PlanPatch[]): Plan {
  return Plan.parse(
    Object.assign(
      {},
      base,
      ...patches.map((patch) => Object.fromEntries(Object.entries(patch).filter(([, v]) => v !== undefined))),
    ),
  );
}

/** 128 bits of SHA-256 over the canonical plan, in hex. */
export async function fingerprint(plan: Plan): Promise<string> {
  return (await sha256Hex(canonicalJson(Plan.parse(plan)))).slice(0, 32);
}
