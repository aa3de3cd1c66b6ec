/** A serving configuration made ready for requests: plans resolved and fingerprinted once, the kill list as a set. */
import type { ServingConfig } from '../shared/contract/config.ts';
import { type Assignment, assign } from '../shared/experiment.ts';
import { fingerprint, type Plan, resolvePlan } from '../shared/plan.ts';
import { killSet } from './eligibility.ts';

export interface AssignedPlan {
  assignments: Assignment[];
  plan: Plan;
  fingerprint: string;
}

export class Serving {
  readonly config: ServingConfig;
  readonly killed: ReadonlySet<string>;
  /** By the arms that lead to it; a handful a configuration. */
  readonly #plans = new Map<string, { plan: Plan; fingerprint: string }>();

  constructor(config: ServingConfig) {
    this.config = config;
    this.killed = killSet(config.killList);
  }

  /** The arms of a unit and the plan that they add up to. */
  async planOf(unitId: string): Promise<AssignedPlan> {
    const assigned = assign(unitId, this.config.experiments);
    const assignments = assigned.map(({ assignment }) => assignment);
    const arms = assignments.map(({ experiment, arm }) => `${experiment}=${arm}`).join('&');
    let known = this.#plans.get(arms);
    if (known === undefined) {
      const plan = resolvePlan(
        this.config.plan,
        assigned.map(({ parameters }) => parameters),
      );
      known = { plan, fingerprint: await fingerprint(plan) };
      this.#plans.set(arms, known);
    }
    return { assignments, ...known };
  }
}
