/**
 * Who takes part in which experiment, with which arm. Pure: a visit and a set of experiments in, arms out.
 * An experiment takes a unit that is in its domain, its targeting, its range of the layer's buckets and its share; the arm
 * comes from a hash of its own, a sticky record, or an override. Holdouts are decided first and empty the layers they hold.
 */
import { type Arm, armOf, BUCKETS, bucket, type Device, type Diversion, type Experiment } from './experiment.ts';
import { HarnessError } from './problem.ts';
import { isSettled, type SwitchbackDesign, sideAt, windowAt, windowUnit } from './switchback.ts';

/** What a request is assigned by. */
export interface Visit {
  /** Unit ids; those of a diversion that no running experiment uses may be missing. */
  units: { user: string } & Partial<Record<Diversion, string>>;
  market: string;
  locale: string;
  device: Device;
  /** UTC milliseconds; may be missing where no switchback runs. */
  atMs?: number;
}

/** The arm that a visitor was shown before, and the version of the experiment then. */
export interface StickyRecord {
  arm: string;
  version: number;
}

export interface AssignOptions {
  /** By experiment. */
  sticky?: ReadonlyMap<string, StickyRecord>;
  /** Arms that are forced on the visit, by experiment; they displace the other experiments of their layers. */
  overrides?: ReadonlyMap<string, string>;
}

export interface Assigned {
  experiment: Experiment;
  arm: Arm;
  unitId: string;
  /** Of a switchback. */
  washout?: boolean;
}

/** The experiments that the visit takes part in, ordered by layer. Throws `bad_request` for overrides that name nothing, or two of a layer. */
export function assign(
  visit: Visit,
  experiments: readonly Experiment[],
  { sticky = new Map(), overrides = new Map() }: AssignOptions = {},
): Assigned[] {
  const forced = force(visit, experiments, overrides);
  const layers = new Set(forced.map(({ experiment }) => experiment.layer));
  const running = experiments.filter(({ status }) => status === 'running');
  const apart = running.flatMap(({ domain }) => (domain === undefined ? [] : [domain.buckets]));
  const drawn = running
    .filter(({ layer }) => !layers.has(layer))
    .flatMap((experiment) => draw(visit, experiment, { apart, record: sticky.get(experiment.key) }) ?? []);
  const held = [...forced, ...drawn].flatMap(({ arm: { holdout } }) => (holdout === undefined ? [] : [holdout]));
  const isHeld = ({ experiment }: Assigned) =>
    !isHoldout(experiment) && held.some((from) => from === 'all' || from.includes(experiment.layer));
  return [...forced, ...drawn.filter((assigned) => !isHeld(assigned))].sort((a, b) =>
    a.experiment.layer < b.experiment.layer ? -1 : a.experiment.layer > b.experiment.layer ? 1 : 0,
  );
}

function force(visit: Visit, experiments: readonly Experiment[], overrides: ReadonlyMap<string, string>): Assigned[] {
  const byLayer = new Map<string, string>();
  return [...overrides].map(([key, armKey]) => {
    const experiment = experiments.find((candidate) => candidate.key === key);
    const arm = experiment?.arms.find((candidate) => candidate.key === armKey);
    if (experiment === undefined || arm === undefined)
      throw new HarnessError('bad_request', `override: expected an experiment and its arm, got ${key}=${armKey}`);
    const { layer } = experiment;
    const other = byLayer.get(layer);
    if (other !== undefined)
      throw new HarnessError(
        'bad_request',
        `override: expected one experiment of layer ${layer}, got ${other} and ${key}`,
      );
    byLayer.set(layer, key);
    return { experiment, arm, unitId: unitOf(visit, experiment) };
  });
}

function draw(
  visit: Visit,
  experiment: Experiment,
  { apart, record }: { apart: readonly Range[]; record: StickyRecord | undefined },
): Assigned | undefined {
  const { key, layer, arms, buckets, targeting, sticky = false, minVersion = 1 } = experiment;
  if (experiment.kind === 'switchback') return isTargeted(visit, experiment) ? switched(visit, experiment) : undefined;
  const unitId = unitOf(visit, experiment);
  if (!isTargeted(visit, experiment) || !isInDomain(visit, experiment, apart)) return undefined;
  if (!within(bucket(`layer:${layer}`, unitId), buckets)) return undefined;
  if (sticky && record !== undefined) {
    if (record.version < minVersion) return undefined;
    const arm = arms.find((candidate) => candidate.key === record.arm);
    if (arm !== undefined) return { experiment, arm, unitId };
  }
  const { share = 1 } = targeting ?? {};
  if (share < 1 && bucket(`share:${key}`, unitId) >= share * BUCKETS) return undefined;
  return { experiment, arm: armOf(experiment, unitId), unitId };
}

const MINUTE_MS = 60_000;

/** When everybody in a market is in which arm; throws `internal` for an experiment that is not a switchback. */
export function switchbackIn(market: string, { key, switchback, version = 1 }: Experiment): SwitchbackDesign {
  if (switchback === undefined) throw new HarnessError('internal', `${key}: expected a switchback`);
  const { windowMinutes, washoutMinutes } = switchback;
  return {
    key: `${version === 1 ? key : `${key}.${version}`}:${market}`,
    windowMs: windowMinutes * MINUTE_MS,
    washoutMs: washoutMinutes * MINUTE_MS,
  };
}

/** Everybody in the market, as one unit, in the arm of the window. */
function switched({ market, atMs }: Visit, experiment: Experiment): Assigned {
  if (atMs === undefined) throw new HarnessError('internal', `${experiment.key}: the visit has no instant`);
  const design = switchbackIn(market, experiment);
  const isControl = sideAt(design, atMs) === 0;
  return {
    experiment,
    arm: experiment.arms.find(({ key }) => (key === experiment.control) === isControl)!,
    unitId: windowUnit(market, windowAt(design, atMs)),
    washout: !isSettled(design, atMs),
  };
}

type Range = readonly [number, number];
const within = (at: number, [from, to]: Range) => from <= at && at < to;

/** Whether one of the arms holds units out of other experiments; such an experiment is itself never held out. */
const isHoldout = ({ arms }: Experiment) => arms.some(({ holdout }) => holdout !== undefined);

function unitOf({ units }: Visit, { key, diversion = 'user' }: Experiment): string {
  const unit = units[diversion];
  if (unit === undefined) throw new HarnessError('internal', `${key}: the visit has no unit of diversion ${diversion}`);
  return unit;
}

function isTargeted({ market, locale, device }: Visit, { targeting = {} }: Experiment): boolean {
  const { markets, locales, devices } = targeting;
  const tag = locale.toLowerCase();
  const covers = (range: string) => tag === range.toLowerCase() || tag.startsWith(`${range.toLowerCase()}-`);
  return (markets?.includes(market) ?? true) && (locales?.some(covers) ?? true) && (devices?.includes(device) ?? true);
}

/** A visitor is in at most one domain: their ranges are disjoint. `apart`: those of all domains in use. */
function isInDomain({ units }: Visit, { domain }: Experiment, apart: readonly Range[]): boolean {
  const ranges = domain === undefined ? apart : [domain.buckets];
  if (ranges.length === 0) return true;
  const at = bucket('domain', units.user);
  return ranges.some((range) => within(at, range)) === (domain !== undefined);
}
