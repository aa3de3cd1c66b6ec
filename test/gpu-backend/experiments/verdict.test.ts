import { describe, expect, it } from 'vitest';
import { type DecisionRules, verdictOn } from '../../../gpu-backend/experiments/verdict.ts';
import type { CheckFinding, Effect } from '../../../shared/contract/experiments.ts';

const RULES: DecisionRules = {
  primary: 'revenue',
  guardrails: [
    { metric: 'queries', margin: 0.02 },
    { metric: 'latency', margin: 0.1 },
  ],
};
const METRICS = [
  { key: 'revenue', title: 'Revenue', direction: 'increase', unit: 'micros' },
  { key: 'queries', title: 'Queries', direction: 'none', unit: 'count' },
  { key: 'latency', title: 'Latency', direction: 'decrease', unit: 'ms' },
] as const;

/** A relative effect of a control value of 1, so that it is the absolute one too. */
const effect = (low: number, high: number): Effect => ({
  absolute: (low + high) / 2,
  interval: [low, high],
  relative: (low + high) / 2,
  relativeInterval: [low, high],
  pValue: 0.5,
  significant: low > 0 || high < 0,
});

const BETTER = effect(0.01, 0.05);
const WORSE = effect(-0.05, -0.01);
const OPEN = effect(-0.01, 0.03);
const ALARM: CheckFinding = {
  check: 'sample_ratio',
  title: 'Sample ratio',
  severity: 'alarm',
  expected: '',
  received: '',
  action: '',
  pValue: 0,
};

function verdict(found: Record<string, Effect | null | 'constant'>, checks: CheckFinding[] = []) {
  const { decision, rule, guardrails } = verdictOn({
    arm: 'treatment',
    checks,
    rules: RULES,
    metrics: METRICS,
    effectOf: (metric) => (found[metric] === 'constant' ? null : (found[metric] ?? null)),
    isConstant: (metric) => found[metric] === 'constant',
  });
  return { decision, rule, states: guardrails.map(({ state }) => state).join(' ') };
}

describe('the verdict', () => {
  const SAFE = { queries: effect(-0.01, 0.01), latency: effect(-0.05, 0.05) };
  // One line a row of the truth table: what is known, what follows.
  it.each<[string, Parameters<typeof verdict>, string, string]>([
    ['nothing', [{}], 'hold', 'too_few'],
    ['only guardrails', [SAFE], 'hold', 'too_few'],
    ['better, all safe', [{ ...SAFE, revenue: BETTER }], 'ship', 'primary_better'],
    [
      'better, a guardrail open',
      [{ ...SAFE, revenue: BETTER, queries: effect(-0.03, 0.02) }],
      'hold',
      'guardrail_open',
    ],
    ['better, a guardrail unknown', [{ queries: SAFE.queries, revenue: BETTER }], 'hold', 'guardrail_open'],
    [
      'better, fewer queries',
      [{ ...SAFE, revenue: BETTER, queries: effect(-0.05, -0.03) }],
      'roll_back',
      'guardrail_harmed',
    ],
    ['better, slower', [{ ...SAFE, revenue: BETTER, latency: effect(0.2, 0.3) }], 'roll_back', 'guardrail_harmed'],
    ['better, faster', [{ ...SAFE, revenue: BETTER, latency: effect(-0.3, -0.2) }], 'ship', 'primary_better'],
    [
      'better, less by no more than the margin',
      [{ ...SAFE, revenue: BETTER, queries: effect(-0.019, -0.001) }],
      'ship',
      'primary_better',
    ],
    [
      'better, a guardrail the same for everybody',
      [{ ...SAFE, revenue: BETTER, queries: 'constant' }],
      'ship',
      'primary_better',
    ],
    ['open, all safe', [{ ...SAFE, revenue: OPEN }], 'hold', 'primary_open'],
    ['open, slower', [{ ...SAFE, revenue: OPEN, latency: effect(0.2, 0.3) }], 'roll_back', 'guardrail_harmed'],
    ['worse, all safe', [{ ...SAFE, revenue: WORSE }], 'roll_back', 'primary_worse'],
    ['better, all safe, an alarm', [{ ...SAFE, revenue: BETTER }, [ALARM]], 'none', 'untrusted'],
    ['worse, an alarm', [{ ...SAFE, revenue: WORSE }, [ALARM]], 'none', 'untrusted'],
    ['nothing, an alarm', [{}, [ALARM]], 'none', 'untrusted'],
    [
      'better, all safe, a warning',
      [{ ...SAFE, revenue: BETTER }, [{ ...ALARM, severity: 'warning' }]],
      'ship',
      'primary_better',
    ],
  ])('%s', (_what, input, decision, rule) => {
    expect(verdict(...input)).toMatchObject({ decision, rule });
  });

  it('judges guardrails by the margin, on the side that hurts', () => {
    const states = (queries: Effect | null, latency: Effect | null) =>
      verdict({ revenue: OPEN, queries, latency }).states;
    expect(states(effect(-0.01, 0.01), effect(-0.5, 0.09))).toBe('safe safe');
    expect(states(effect(-0.03, 0.5), effect(-0.5, 0.11))).toBe('open open');
    expect(states(effect(-0.5, -0.021), effect(0.11, 0.5))).toBe('harmed harmed');
    expect(states(effect(-0.02, 0.5), effect(-0.5, 0.1))).toBe('open open');
    expect(states(effect(-0.5, -0.02), effect(0.1, 0.5))).toBe('open open');
    expect(states(null, { ...BETTER, relative: null, relativeInterval: null })).toBe('open open');
  });
});
