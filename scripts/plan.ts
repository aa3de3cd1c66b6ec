/** `npm run plan`: how many units, and days, an experiment needs to find an effect, from a report's numbers or given ones. */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import type { Design } from '../gpu-backend/experiments/estimators/power.ts';
import { ExperimentReport } from '../shared/contract/experiments.ts';
import { HarnessError } from '../shared/problem.ts';
import { planFor, planTable } from './plan-table.ts';

interface CommandOptions {
  report?: string;
  metric: string;
  baseline?: number;
  deviation?: number;
  correlation?: number;
  effect: number;
  power: number;
  confidence: number;
  treatmentShare: number;
  unitsPerDay?: number;
  anytime?: boolean;
  json?: boolean;
}

/** A number in (low, high). */
const between = (low: number, high: number) => (text: string) => {
  const value = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text.trim() === '' || !(value > low && value < high))
    throw new InvalidArgumentError(`Expected a number between ${low} and ${high}.`);
  return value;
};
const positive = between(0, Number.POSITIVE_INFINITY);

/** The control's value and the deviation of its units in a report printed by `npm run report -- --json`. */
function fromReport(file: string, key: string): Pick<Design, 'baseline' | 'deviation' | 'correlation'> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new HarnessError('configuration', `--report: ${file} cannot be read (${(cause as Error).message}).`, {
      cause,
    });
  }
  const { data: report } = ExperimentReport.safeParse(parsed(text));
  if (report === undefined)
    throw new HarnessError('bad_request', `--report: expected what npm run report -- --json prints, got ${file}.`);
  const metric = report.metrics.find((each) => each.metric === key);
  if (metric === undefined) {
    const known = report.metrics.map((each) => each.metric).join(', ');
    throw new HarnessError('bad_request', `--metric: expected one of ${known}, got ${key}.`);
  }
  const { control } = report.experiment;
  const own = metric.arms.find(({ arm }) => arm === control);
  const units = report.arms.find(({ arm }) => arm === control)?.units ?? 0;
  if (own?.value == null || own.value === 0 || !own.standardError)
    throw new HarnessError('bad_request', `--metric: the report says nothing of ${key} in ${control} yet.`);
  const adjusted = metric.arms.find((arm) => arm.adjusted?.by === 'before')?.adjusted;
  return {
    baseline: own.value,
    deviation: own.standardError * Math.sqrt(units),
    ...(adjusted && { correlation: Math.sqrt(Math.max(0, 1 - adjusted.varianceShare)) }),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller says what was expected
  }
}

function designOf(options: CommandOptions): Design {
  const { report, metric, baseline, deviation, correlation, confidence, treatmentShare, anytime = false } = options;
  const known = report === undefined ? {} : fromReport(report, metric);
  const design = { ...known, ...(baseline && { baseline }), ...(deviation && { deviation }) };
  if (design.baseline === undefined || design.deviation === undefined)
    throw new HarnessError(
      'bad_request',
      'expected --report FILE, or --baseline and --deviation of a unit; write a report with npm run report -- --json > FILE.',
    );
  return {
    ...(design as Pick<Design, 'baseline' | 'deviation' | 'correlation'>),
    ...(correlation !== undefined && { correlation }),
    confidence,
    treatmentShare,
    anytime,
  };
}

const program = new Command('npm run plan --')
  .description('Plan an A/B test: units and days that an effect needs, and a curve of power.')
  .option('--report <file>', 'take baseline, deviation and correlation from the control of a report (JSON)')
  .option('--metric <key>', 'which metric of the report', 'revenue')
  .option('--baseline <number>', "the metric's value in the control", positive)
  .option('--deviation <number>', 'standard deviation of a unit', positive)
  .option('--correlation <number>', 'of a unit with its past, where the report adjusts for it', between(-1, 1))
  .option('--effect <share>', 'relative effect to find, such as 1% or 0.01', positive, 0.01)
  .option('--power <share>', 'probability of finding it', between(0.05, 1), 0.8)
  .option('--confidence <share>', 'of the intervals', between(0.5, 1), 0.95)
  .option('--treatment-share <share>', 'share of the units in the treatment', between(0, 1), 0.5)
  .option('--units-per-day <number>', 'units that enter the experiment in a day', positive)
  .option('--anytime', 'for a confidence sequence, which may be read at any time')
  .option('--json', 'print JSON')
  .allowExcessArguments(false)
  .parse();

try {
  const options = program.opts<CommandOptions>();
  const { effect, power, unitsPerDay, json } = options;
  const design = designOf(options);
  const plan = planFor({ design, relative: effect, power, ...(unitsPerDay && { unitsPerDay }) });
  console.log(json ? JSON.stringify({ design, ...plan }, null, 2) : planTable(plan));
} catch (error) {
  exitWith(error);
}
