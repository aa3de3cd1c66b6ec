/** A serving configuration made ready for requests: plans resolved and fingerprinted once, the kill list as a set. */
import { type Assigned, type AssignOptions, assign, type Visit } from '../shared/assignment.ts';
import type { ServingConfig } from '../shared/contract/config.ts';
import { type Arm, type Assignment, type Diversion, INTERLEAVED, isCompared } from '../shared/experiment.ts';
import { fingerprint, type Plan, resolvePlan } from '../shared/plan.ts';
import { AdsRequests } from './ads-request.ts';
import { killSet } from './eligibility.ts';
import { diversionsOf } from './visit.ts';

/** A plan and its part of the cache key. */
export interface KeyedPlan {
  plan: Plan;
  fingerprint: string;
}

/** One side of an interleaving. */
export interface Team extends KeyedPlan {
  arm: string;
}

/** The plans that a visit would have had in the other arms of an experiment, those that differ from its own. */
export interface Counterfactual {
  experiment: string;
  plans: readonly KeyedPlan[];
}

export interface AssignedPlan extends KeyedPlan {
  /** As answered and logged. */
  assignments: Assignment[];
  /** The same with their definitions. */
  assigned: Assigned[];
  /** The page is merged from two plans; `plan` is then that of the control arm. */
  interleaving: { experiment: string; teams: readonly [Team, Team] } | undefined;
  /** Of the experiments that log them for this unit; none for merged pages and forced arms. */
  counterfactuals: readonly Counterfactual[];
}

const NO_COUNTERFACTUALS: readonly Counterfactual[] = [];
/** Combinations of arms whose plan is remembered: a dozen layers have more than an isolate has room for. */
const MAX_PLANS = 1_000;

export class Serving {
  readonly config: ServingConfig;
  readonly killed: ReadonlySet<string>;
  /** The oldest generation whose candidates that covers. */
  readonly killedSince: number;
  readonly diversions: ReadonlySet<Diversion>;
  readonly requests: AdsRequests;
  /** Whether an experiment that runs keeps its visitors in their arms by a cookie. */
  readonly isSticky: boolean;
  /** By the arms that lead to it; a handful in most configurations. */
  readonly #plans = new Map<string, KeyedPlan>();

  constructor(config: ServingConfig) {
    this.config = config;
    this.killed = killSet(config.killList);
    this.killedSince = config.killListSince ?? 0;
    this.diversions = diversionsOf(config);
    this.requests = new AdsRequests(config);
    this.isSticky = config.experiments.some(({ sticky, status }) => sticky && status === 'running');
  }

  /** The arms of a visit and the plan that they add up to. Throws as {@link assign} does. */
  async planOf(visit: Visit, options: AssignOptions = {}): Promise<AssignedPlan> {
    const assigned = assign(visit, this.config.experiments, options);
    // Who forces an arm wants to see that arm, not half of it.
    const merged = assigned.find(
      ({ experiment: { kind, key } }) => kind === 'interleaving' && !options.overrides?.has(key),
    );
    const assignments = assigned.map((each): Assignment => {
      const { experiment, arm, unitId, washout } = each;
      const own = {
        experiment: experiment.key,
        layer: experiment.layer,
        arm: each === merged ? INTERLEAVED : arm.key,
        ...(washout === undefined ? {} : { washout }),
      };
      return unitId === visit.units.user ? own : { ...own, unitId };
    });
    if (merged === undefined) {
      const own = await this.#resolve(assigned);
      const isAsked =
        options.overrides === undefined && assigned.some(({ experiment, unitId }) => isCompared(experiment, unitId));
      const counterfactuals = isAsked ? await this.#counterfactuals(assigned, own) : NO_COUNTERFACTUALS;
      return { ...own, assignments, assigned, interleaving: undefined, counterfactuals };
    }
    const { key, arms, control } = merged.experiment;
    const team = async (arm: Arm): Promise<Team> => {
      const arms = assigned.map((each) => (each === merged ? { ...each, arm } : each));
      return { arm: arm.key, ...(await this.#resolve(arms)) };
    };
    const teams = [await team(arms[0]!), await team(arms[1]!)] as const;
    const { plan, fingerprint } = teams.find(({ arm }) => arm === control)!;
    const interleaving = { experiment: key, teams };
    return { plan, fingerprint, assignments, assigned, interleaving, counterfactuals: NO_COUNTERFACTUALS };
  }

  async #counterfactuals(assigned: readonly Assigned[], own: KeyedPlan): Promise<readonly Counterfactual[]> {
    const compared = assigned.filter(({ experiment, unitId }) => isCompared(experiment, unitId));
    return Promise.all(
      compared.map(async (each) => {
        const others = each.experiment.arms.filter(({ key }) => key !== each.arm.key);
        const plans = await Promise.all(
          others.map((arm) => this.#resolve(assigned.map((other) => (other === each ? { ...each, arm } : other)))),
        );
        const byFingerprint = new Map(plans.map((plan) => [plan.fingerprint, plan]));
        byFingerprint.delete(own.fingerprint);
        return { experiment: each.experiment.key, plans: [...byFingerprint.values()] };
      }),
    );
  }

  /** The plan under the arms of all layers, the later layer last. */
  async #resolve(assigned: readonly Assigned[]): Promise<KeyedPlan> {
    const arms = assigned.map(({ experiment, arm }) => `${experiment.key}=${arm.key}`).join('&');
    let known = this.#plans.get(arms);
    if (known === undefined) {
      const patches = assigned.map(({ arm }) => arm.parameters);
      const plan = resolvePlan(this.config.plan, patches);
      known = { plan, fingerprint: await fingerprint(plan) };
      if (this.#plans.size >= MAX_PLANS) this.#plans.clear();
      this.#plans.set(arms, known);
    }
    return known;
  }
}
