/** Sizes of measurements that the environment may set. */
import { HarnessError } from '../shared/problem.ts';

/** The variable's whole number above 0, else `fallback`; throws `configuration` for anything else. */
export function sizeFrom(variable: 'HARNESS_BENCH_ADS' | 'HARNESS_BENCH_IMPRESSIONS', fallback: number): number {
  const text = process.env[variable];
  if (text === undefined) return fallback;
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new HarnessError('configuration', `${variable}: expected a whole number above 0, got "${text}".`);
  return Number(text);
}
