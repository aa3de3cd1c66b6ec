/**
 * People who search and click. The click model is the position-based one (Craswell et al., WSDM 2008; Chuklin et al., 2015):
 * P(click) = P(the slot is examined) x P(the ad attracts), the first falling with position, the second rising with the grade.
 */
import type { Device } from '../shared/experiment.ts';
import { MICROS } from '../shared/money.ts';
import type { Random } from './random.ts';
import type { Grade } from './relevance.ts';

/** Chance that a slot is looked at, positions 1, 2, ...; further down it keeps falling by the last ratio. */
const EXAMINATION = [0.95, 0.72, 0.55, 0.42, 0.33, 0.27, 0.22, 0.18, 0.15, 0.13];
const FALL_OFF = 0.87;
/** Chance that an ad that was looked at is clicked, by grade. */
const ATTRACTION: Readonly<Record<Grade, number>> = { 0: 0.015, 1: 0.07, 2: 0.26, 3: 0.38 };
/** Chance that a click leads to a purchase, by grade. */
const CONVERSION: Readonly<Record<Grade, number>> = { 0: 0.003, 1: 0.012, 2: 0.05, 3: 0.09 };

/** Chance that somebody looks at the slot at a position (1-based). */
export function examination(position: number): number {
  const known = EXAMINATION[position - 1];
  return known ?? EXAMINATION.at(-1)! * FALL_OFF ** (position - EXAMINATION.length);
}

/** Chance of a click at a position (1-based) on an ad of a grade, for a person of ordinary eagerness. */
export function clickProbability(grade: Grade, position: number, eagerness = 1): number {
  return Math.min(0.98, examination(position) * Math.min(1, ATTRACTION[grade] * eagerness));
}

/** Chance of a purchase after a click. */
export function conversionProbability(grade: Grade): number {
  return CONVERSION[grade];
}

/** Value of a purchase in micros, log-normal around the department's median sale. */
export function drawSale(medianSale: number, random: Random): number {
  return Math.max(MICROS / 100, Math.round(random.logNormal(medianSale, 0.6) * 100) * (MICROS / 100));
}

/** Time from a click to its purchase: most buy within the hour, a few think it over for days. */
const MEDIAN_DELAY_MS = 30 * 60_000;
const LONGEST_DELAY_MS = 7 * 86_400_000;

/** Milliseconds from a click to its purchase. */
export function drawDelay(random: Random): number {
  return Math.min(LONGEST_DELAY_MS, Math.round(random.logNormal(MEDIAN_DELAY_MS, 2)));
}

/** Who sits at the other end: somebody, a crawler that says so, or one that passes for a person. */
export type VisitorKind = 'person' | 'crawler' | 'hidden crawler';

/** Somebody with a browser. */
export interface Person {
  readonly id: string;
  readonly market: string;
  readonly device: Device;
  readonly kind: VisitorKind;
}

/** A person with habits. */
export interface User extends Person {
  readonly kind: 'person';
  /** Departments that the person comes back to. */
  readonly interests: readonly string[];
  /** Factor on the attraction of ads: some people click more. */
  readonly eagerness: number;
  /** Relative number of searches; heavy-tailed. */
  readonly activity: number;
}

const MARKET_SHARES: Readonly<Record<string, number>> = { us: 0.7, gb: 0.18, au: 0.12 };
const DEVICE_SHARES: Readonly<Record<Device, number>> = { desktop: 0.42, mobile: 0.52, tablet: 0.06 };
const DEVICES = Object.keys(DEVICE_SHARES) as Device[];

/** The population, the same for a seed. */
export function createUsers(
  options: { count: number; markets: readonly string[]; departments: readonly string[] },
  random: Random,
): User[] {
  const devices = random.fork('devices');
  return Array.from({ length: options.count }, (_, i) => ({
    id: `user-${String(i + 1).padStart(6, '0')}`,
    kind: 'person',
    device: devices.weighted(DEVICES, (device) => DEVICE_SHARES[device]),
    market: random.weighted(options.markets, (market) => MARKET_SHARES[market] ?? 0.1),
    interests: random.sample(options.departments, 1 + random.int(3)),
    eagerness: random.logNormal(1, 0.3),
    activity: random.logNormal(1, 0.8),
  }));
}
