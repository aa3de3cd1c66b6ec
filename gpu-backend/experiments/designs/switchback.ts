/**
 * What a switchback (shared/switchback.ts) shows: blocks of two windows, one of each arm, are the clusters, and only settled time
 * counts.
 */
import { HarnessError } from '../../../shared/problem.ts';
import { isSettled, type SwitchbackDesign, sideAt } from '../../../shared/switchback.ts';
import { comparePairs, type PairedEffect } from './paired-clusters.ts';

/** Whole numbers that came up at instants: micros of clicks, clicks, queries. */
export interface Occurrence {
  atMs: number;
  value: number;
}

export interface SwitchbackOptions {
  /** Half-open span; blocks that it cuts are left out. */
  fromMs: number;
  toMs: number;
  confidence: number;
}

/** Effect a window's settled time, paired by block. Throws `bad_request` where the washout leaves nothing. */
export function analyseSwitchback(
  design: SwitchbackDesign,
  occurrences: readonly Occurrence[],
  { fromMs, toMs, confidence }: SwitchbackOptions,
): PairedEffect | undefined {
  const { windowMs, washoutMs } = design;
  if (!(washoutMs >= 0 && washoutMs < windowMs))
    throw new HarnessError('bad_request', `washoutMs: expected 0 to less than ${windowMs}, got ${washoutMs}.`);
  const blockMs = 2 * windowMs;
  const first = Math.ceil(fromMs / blockMs);
  const blocks = Array.from({ length: Math.max(0, Math.floor(toMs / blockMs) - first) }, () => [0, 0]);
  for (const { atMs, value } of occurrences) {
    const block = blocks[Math.floor(atMs / blockMs) - first];
    if (block !== undefined && isSettled(design, atMs)) block[sideAt(design, atMs)]! += value;
  }
  return comparePairs(
    blocks.map(([control, treatment]) => ({ control: control!, treatment: treatment! })),
    confidence,
  );
}
