/**
 * Switchback experiments: the whole of a market changes from arm to arm, window by window, where users cannot be kept apart
 * because they share budgets and stock (Bojinov, Simchi-Levi and Zhao, "Design and analysis of switchback experiments",
 * Management Science 2023). Windows come in blocks of two, one of each arm in an order drawn by hash, so that hours of the
 * day and trends meet both arms alike. What an arm leaves behind wears off during the washout at the head of each window.
 */
import { hash32 } from './experiment.ts';

export interface SwitchbackDesign {
  /** Salt of the draw, such as the experiment's key and market. */
  key: string;
  windowMs: number;
  /** Time at the start of a window that does not count; at least as long as an arm's after-effects last. */
  washoutMs: number;
}

/** 0 for control, 1 for treatment. */
export type Side = 0 | 1;

/** Number of the window that an instant lies in, counted from 1970; windows 2n and 2n + 1 are a block. */
export const windowAt = ({ windowMs }: Pick<SwitchbackDesign, 'windowMs'>, atMs: number) => Math.floor(atMs / windowMs);

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

/** The unit that everybody in the market is during a window. */
export const windowUnit = (market: string, window: number) => `${market}@${window}`;

/** The market and the window of a unit; `undefined` for a unit that is none. */
export function readWindowUnit(unitId: string): { market: string; window: number } | undefined {
  const [, market, window] = /^(.+)@(\d+)$/.exec(unitId) ?? [];
  return market === undefined ? undefined : { market, window: Number(window) };
}
