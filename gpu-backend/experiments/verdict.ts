/**
 * What to do about an arm, by rules that are tried in order: trust first, then harm, then success. Judged by intervals that
 * hold at every look, so that acting on the first look that says something is no mistake. Superiority on one metric,
 * non-inferiority on the others.
 */
import type { CheckFinding, Effect } from '../../shared/contract/experiments.ts';
import type { Decision, Guardrail, Verdict } from '../../shared/contract/report-detail.ts';
import type { DecisionRules, Metric } from '../../shared/metric.ts';
import { interval } from './wording.ts';

export type { DecisionRules };

/** Of experiments that bring none. People come back as often, find an ad as often, like it as much, and advertisers sell as much. */
export const DECISION_RULES: DecisionRules = {
  primary: 'revenue',
  guardrails: [
    { metric: 'queries', margin: 0.02 },
    { metric: 'coverage', margin: 0.01 },
    { metric: 'ctr', margin: 0.02 },
    { metric: 'conversions', margin: 0.05 },
  ],
};

export interface VerdictInput {
  arm: string;
  checks: readonly CheckFinding[];
  rules: DecisionRules;
  metrics: readonly Pick<Metric, 'key' | 'title' | 'direction' | 'unit'>[];
  /** The arm's effect on a metric, with an interval that holds at every look; `null` before there is one. */
  effectOf: (metric: string) => Effect | null;
  /** Whether no unit of either arm differs from any other in the metric; then there can be no effect. */
  isConstant: (metric: string) => boolean;
}

/** The verdict on one arm. */
export function verdictOn({ arm, checks, rules, metrics, effectOf, isConstant }: VerdictInput): Verdict {
  const titleOf = (key: string) => metrics.find((metric) => metric.key === key)?.title ?? key;
  const towards = (key: string) => (metrics.find((metric) => metric.key === key)?.direction === 'decrease' ? -1 : 1);
  const guardrails = rules.guardrails
    .filter(({ metric }) => metrics.some(({ key }) => key === metric))
    .map((rule): Guardrail => {
      const effect = effectOf(rule.metric);
      return {
        ...rule,
        title: titleOf(rule.metric),
        state: isConstant(rule.metric) ? 'safe' : guardrailState(effect, towards(rule.metric), rule.margin),
        effect,
      };
    });
  const primary = effectOf(rules.primary);
  const unit = metrics.find(({ key }) => key === rules.primary)?.unit ?? 'count';
  const title = `${titleOf(rules.primary)} (${interval(unit, primary)})`;
  const say = (decision: Decision, rule: string, reason: string): Verdict => ({
    arm,
    decision,
    rule,
    reason,
    primary: rules.primary,
    guardrails,
  });
  const named = (state: Guardrail['state']) =>
    guardrails
      .filter((guardrail) => guardrail.state === state)
      .map((guardrail) => `${guardrail.title} (margin ${Number((guardrail.margin * 100).toFixed(2))} %)`)
      .join(', ');

  const alarms = checks.filter(({ severity }) => severity === 'alarm');
  if (alarms.length > 0)
    return say(
      'none',
      'untrusted',
      `The numbers are not to be trusted: ${alarms.map((check) => check.title).join(', ')} failed.`,
    );
  if (primary === null)
    return say('hold', 'too_few', 'Too few units to judge: every arm needs 100 of them, not all alike.');
  if (guardrails.some(({ state }) => state === 'harmed'))
    return say('roll_back', 'guardrail_harmed', `Worse than may be lost: ${named('harmed')}.`);
  const side = sideOf(primary, towards(rules.primary));
  if (side < 0) return say('roll_back', 'primary_worse', `${title} gets worse.`);
  if (side === 0) return say('hold', 'primary_open', `${title} may be better or worse: wait for more units.`);
  if (guardrails.some(({ state }) => state === 'open'))
    return say(
      'hold',
      'guardrail_open',
      `${title} gets better, but it is not shown yet that these do not get worse: ${named('open')}.`,
    );
  return say('ship', 'primary_better', `${title} gets better, and no guardrail loses more than its margin.`);
}

/** +1 better, -1 worse, 0 open. */
function sideOf({ interval: [low, high] }: Effect, direction: 1 | -1): -1 | 0 | 1 {
  if (low > 0) return direction;
  return high < 0 ? (-direction as 1 | -1) : 0;
}

/** Whether the metric is shown to lose less than the margin, or more; `direction` is +1 where more of it is better. */
export function guardrailState(effect: Effect | null, direction: 1 | -1, margin: number): Guardrail['state'] {
  if (effect === null || effect.relativeInterval === null) return 'open';
  const [low, high] = effect.relativeInterval;
  const [worst, best] = direction > 0 ? [low, high] : [-high, -low];
  if (worst > -margin) return 'safe';
  return best < -margin ? 'harmed' : 'open';
}
