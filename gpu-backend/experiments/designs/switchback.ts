/**
 * Switchback experiments: the whole market changes from arm to arm, window by window, where users cannot be kept apart
 * because they share budgets and stock (Bojinov, Simchi-Levi and Zhao, "Design and analysis of switchback experiments",
 * Management Science 2023). Windows come in blocks of two, one of each arm in an order drawn by hash, so that hours of the
 * day and trends meet both arms alike. What an arm leaves behind wears off during the washout at the head of each window.
 */
import { hash32 } from '../../../shared/experiment.ts';
import { HarnessError } from '../../../shared/problem.ts';
import { comparePairs, type PairedEffect } from './paired-clusters.ts';

export interface SwitchbackDesign {
  /** Salt of the draw, such as the experiment's key and market. */
  key: string;
  windowMs: number;
  /** Time at the head of a window that does not count; at least as long as an arm's traces last. */
  washoutMs: number;
}

/** 0 for control, 1 for treatment. */
export type Side = 0 | 1;

const windowAt = ({ windowMs }: SwitchbackDesign, atMs: number) => Math.floor(atMs / windowMs);

/** The arm that the whole market is in at an instant. */
export function sideAt(design: SwitchbackDesign, atMs: number): Side {
  const window = windowAt(design, atMs);
  const first = hash32(`switchback:${design.key}:${Math.floor(window / 2)}`) >>> 31;
  return (window % 2 === 0 ? first : 1 - first) as Side;
}

/** Whether an instant counts, or lies in a washout. */
export function isSettled(design: SwitchbackDesign, atMs: number): boolean {
  return atMs - windowAt(design, atMs) * design.windowMs >= design.washoutMs;
}

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
