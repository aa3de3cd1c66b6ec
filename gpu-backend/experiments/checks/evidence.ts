/** What the trust checks judge by: counts of an experiment's rows, none of them a metric. */
import type { Experiment } from '../../../shared/experiment.ts';

export interface ArmCount {
  arm: string;
  /** Intended share, relative to the other arms'; 0 for an arm that the experiment does not have. */
  weight: number;
  /** Units of this arm alone, without bots. */
  units: number;
}

export interface Evidence {
  experiment: Experiment;
  /** In the order of the definition, then arms that it does not have. */
  arms: readonly ArmCount[];
}
