/** An evaluation as a table for people: systems as columns, metrics and slices as rows; at most 110 columns wide. */
import { METRIC_NAMES, METRICS } from './metrics.ts';
import type { Interval } from './recovery.ts';
import { type EvaluationReport, FLOORS, type Slice, type System } from './report.ts';
import { GROUPS } from './slices.ts';

/** Those with a column. */
const SYSTEM_NAMES: Readonly<Record<Exclude<System, 'asTyped'>, string>> = {
  bm25: 'BM25',
  static: 'static',
  naive: 'naive',
  teacherBare: 'bare',
  teacher: 'teacher',
  student: 'student',
};
const COLUMNS = Object.keys(SYSTEM_NAMES) as (keyof typeof SYSTEM_NAMES)[];
const GROUP_NAMES = {
  slice: 'split',
  kind: 'kind of wording',
  traffic: 'traffic',
  words: 'length',
  overlap: 'words shared with a relevant ad',
} as const;

const FIRST = 22;
const NUMBER = 8;
const KEPT = 20;

const value = (number: number | undefined): string => number?.toFixed(3) ?? '-';
/** JSON knows no NaN: a ratio that has no denominator comes back as null. */
const percent = (share: number | null): string => (Number.isFinite(share) ? (100 * share!).toFixed(1) : '-');
const range = (interval: Interval): string => interval.map(percent).join('..');
const kept = (share: number, interval: Interval): string => `${percent(share)} ${range(interval)}`;

const line = (first: string, numbers: readonly string[], rest: readonly string[] = []): string =>
  `${first.padEnd(FIRST)}${numbers.map((cell) => cell.padStart(NUMBER)).join('')}${rest
    .map((cell) => cell.padStart(KEPT))
    .join('')}`.trimEnd();

function qualityLines(report: EvaluationReport): string[] {
  const { recovery, recoveryBare, floors, teacher, teacherBare, student } = report;
  const systems = { ...floors, teacherBare, teacher, student };
  return [
    line(
      '',
      COLUMNS.map((system) => SYSTEM_NAMES[system]),
      ['kept of teacher, %', 'kept of bare, %'],
    ),
    ...METRICS.map((metric) =>
      line(
        METRIC_NAMES[metric],
        COLUMNS.map((system) => value(systems[system]?.[metric])),
        [kept(recovery[metric], recovery.interval[metric]), kept(recoveryBare[metric], recoveryBare.interval[metric])],
      ),
    ),
  ];
}

function floorLines({ floors }: EvaluationReport): string[] {
  return FLOORS.flatMap((name) => {
    const floor = floors[name];
    if (!floor) return [`student - ${SYSTEM_NAMES[name]}: not measured`];
    const { p10, interval } = floor.difference;
    const [low, high] = interval.p10;
    const verdict = low > 0 ? 'above' : high < 0 ? 'below' : 'no clear difference';
    return [`student - ${SYSTEM_NAMES[name]}, P@10: ${value(p10)} (${value(low)}..${value(high)}): ${verdict}`];
  });
}

/** What spelling is worth. */
function asTypedLines({ asTyped }: EvaluationReport): string[] {
  if (!asTyped) return [];
  const { p10, ndcg10, recovery } = asTyped;
  const shares = `kept of teacher ${kept(recovery.p10, recovery.interval.p10)}, ${kept(recovery.ndcg10, recovery.interval.ndcg10)}`;
  return ['', `student, queries as typed: P@10 ${value(p10)}, nDCG@10 ${value(ndcg10)}; ${shares}`];
}

/** P@10 of each slice; the last columns are the student's share of the teacher's. */
function sliceLines({ slices, slicesLeftOut }: EvaluationReport): string[] {
  const row = ([name, slice]: [string, Slice]) =>
    line(
      `  ${name} (${slice.queries})`,
      COLUMNS.map((system) => value(slice.systems[system]?.p10)),
      [slice.recovery, slice.recoveryBare].map((part) => kept(part.p10, part.interval.p10)),
    );
  const groups = GROUPS.flatMap((group) => {
    const parts = Object.entries(slices[group]);
    return parts.length === 0 ? [] : [GROUP_NAMES[group], ...parts.map(row)];
  });
  const few = slicesLeftOut.map(({ name, queries }) => `${name} (${queries})`).join(', ');
  return ['P@10 by slice', ...groups, ...(few === '' ? [] : [`too few queries: ${few}`])];
}

function speedLines({ speed }: EvaluationReport): string[] {
  if (!speed) return ['speed: not measured, the teacher does not run here'];
  const { teacher, teacherBare, student } = speed;
  const three = [teacherBare, teacher, student];
  const pad = ['', '', ''];
  const ratio = (times: number) => `${times.toFixed(1)}x`;
  return [
    line(
      'p50 ms, batch 1',
      [...pad, ...three.map(({ p50Ms }) => p50Ms.toFixed(2))],
      [ratio(speed.latencyRatio), ratio(speed.latencyRatioBare)],
    ),
    line('p99 ms, batch 1', [...pad, ...three.map(({ p99Ms }) => p99Ms.toFixed(2))]),
    line(
      'queries/s',
      [...pad, ...three.map(({ queriesPerSecond }) => queriesPerSecond.toFixed(0))],
      [ratio(speed.throughputRatio), ratio(speed.throughputRatioBare)],
    ),
    line('tokens a query', [...pad, ...three.map(({ tokens }) => tokens.toFixed(1))]),
  ];
}

function outOfDomainLines({ outOfDomain }: EvaluationReport): string[] {
  if (!outOfDomain) return [];
  const { queries, pool, teacher, student, kept: share } = outOfDomain;
  const pad = ['', '', '', ''];
  const row = (name: string, measure: 'accuracy1' | 'mrr10') =>
    line(
      `  ${name}`,
      [...pad, value(teacher[measure]), value(student[measure])],
      [kept(share[measure], share.interval[measure])],
    );
  return [
    '',
    `out of domain: ${queries} dictionary glosses, each for its word among ${pool}`,
    row('accuracy@1', 'accuracy1'),
    row('MRR@10', 'mrr10'),
  ];
}

/** The whole table. */
export function evaluationTable(report: EvaluationReport): string {
  const { recovery, recoveryBare } = report;
  const lines = [
    ...qualityLines(report),
    '',
    ...floorLines(report),
    ...asTypedLines(report),
    '',
    ...sliceLines(report),
    '',
    ...speedLines(report),
    ...outOfDomainLines(report),
    '',
    `${report.queries} test queries; kept = student / teacher in %, with 95 % intervals over queries`,
    `teacher: ${recovery.denominator}`,
    `bare: ${recoveryBare.denominator}`,
  ];
  return `${lines.join('\n')}\n`;
}
