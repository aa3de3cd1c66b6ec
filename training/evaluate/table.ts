/** An evaluation as a table for people. */
import { METRICS } from './metrics.ts';
import type { EvaluationReport, Slice } from './report.ts';

const NAMES = { p10: 'P@10', ndcg10: 'nDCG@10', mrr: 'MRR', recall100: 'recall@100' } as const;
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export function evaluationTable(report: EvaluationReport): string {
  const { teacher, student, recovery, floors, slices, speed } = report;
  const lines = [
    ['', 'BM25', 'teacher', 'student', 'kept', '95 % interval'],
    ...METRICS.map((metric) => [
      NAMES[metric],
      floors.bm25[metric].toFixed(4),
      teacher[metric].toFixed(4),
      student[metric].toFixed(4),
      percent(recovery[metric]),
      recovery.interval[metric].map(percent).join(' to '),
    ]),
    [],
    ...Object.entries<Slice>({ ...slices.slice, ...slices.kind }).map(([name, slice]) => [
      `${name} (${slice.queries})`,
      '',
      slice.teacher.p10.toFixed(4),
      slice.student.p10.toFixed(4),
      percent(slice.p10),
      slice.interval.p10.map(percent).join(' to '),
    ]),
    [],
    [
      'p50 ms, batch 1',
      '',
      speed.teacher.p50Ms.toFixed(2),
      speed.student.p50Ms.toFixed(2),
      `${speed.latencyRatio.toFixed(1)}x`,
    ],
    ['p99 ms, batch 1', '', speed.teacher.p99Ms.toFixed(2), speed.student.p99Ms.toFixed(2)],
    [
      'queries/s',
      '',
      speed.teacher.queriesPerSecond.toFixed(0),
      speed.student.queriesPerSecond.toFixed(0),
      `${speed.throughputRatio.toFixed(1)}x`,
    ],
  ];
  const widths = [24, 10, 10, 10, 10, 20];
  const table = lines.map((cells) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(''),
  );
  return `${table.join('\n')}\n\n${report.queries} test queries; slices by P@10; kept = student / ${recovery.denominator}\n`;
}
