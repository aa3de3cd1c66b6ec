/**
 * What the trust checks judge by: counts of an experiment's rows, none of them a metric. Counts by arm are over units of one
 * arm alone, without bots, unless they say otherwise. How it is gathered: gather.ts.
 */
import type { Experiment } from '../../../shared/experiment.ts';
import type { Dimension } from '../strata.ts';

export interface ArmCount {
  arm: string;
  /** Intended share, relative to the other arms'; 0 for an arm that the experiment does not have. */
  weight: number;
  units: number;
}

/** Units by arm; an absent arm has none. */
export type UnitsByArm = Readonly<Record<string, number>>;

export interface Segment {
  dimension: Dimension;
  value: string;
  units: UnitsByArm;
}

/** Units whose first query fell on a UTC day. */
export interface Arrivals {
  /** `YYYY-MM-DD` */
  day: string;
  units: UnitsByArm;
}

/** Units that are no visitors, or do not behave like any. */
export interface Automation {
  arm: string;
  /** Marked as bots by the edge, and left out of everything else. */
  botUnits: number;
  /** Not marked, yet with more queries on a UTC day than a person makes; they are in the metrics. */
  heavyUnits: number;
  heavyQueries: number;
  /** Of all units that count. */
  queries: number;
}

/** Exposures that the edge issued and nobody stored, beside those that were. */
export interface Loss {
  arm: string;
  stored: number;
  missing: number;
}

/** What one unit of the sample did, in whole numbers. */
export interface SampledUnit {
  arm: string;
  queries: number;
  /** Queries that a cache answered, and the age of what it held, in milliseconds, summed up. */
  hits: number;
  ageMs: number;
  /** Rows that say the same as another row: the same visitor's same query at the same millisecond. */
  duplicates: number;
  clicks: number;
  /** Clicks before their query, and conversions before their click. */
  earlyClicks: number;
  earlyConversions: number;
  conversions: number;
  /** Conversions later after their click than they are waited for. */
  lateConversions: number;
  /** Clicks that a conversion may still follow in time. */
  openClicks: number;
  /** Queries that a holdout of this experiment should have kept out of another one. */
  leaks: number;
}

/** Units of which the counterfactual log is complete. */
export interface Compared {
  arm: string;
  /** At least once another arm would have shown other ads. */
  triggered: number;
  rest: number;
}

export interface Evidence {
  experiment: Experiment;
  /** In the order of the definition, then arms that it does not have. */
  arms: readonly ArmCount[];
  /** First and last query, UTC milliseconds; `undefined` without any. */
  fromMs: number | undefined;
  toMs: number | undefined;
  /** Units seen in several arms, which no arm counts. */
  mixedUnits: number;
  /** By day. */
  arrivals: readonly Arrivals[];
  segments: readonly Segment[];
  automation: readonly Automation[];
  /** Empty where no ledger was compared with the rows. */
  loss: readonly Loss[];
  /** In the order of the arms; empty where nothing was logged. */
  compared: readonly Compared[];
  /** Units picked by a hash of their id, all of them where they are few. */
  sample: readonly SampledUnit[];
}
