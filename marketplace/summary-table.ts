/** What traffic was sent, as a table for people. */
import { formatMicros } from '../shared/money.ts';
import type { TrafficCounts, TrafficSummary } from './traffic-counts.ts';

const HEADER = ['arm', 'answers', 'ads shown', 'relevant', 'clicks', 'clicks/answer', 'purchases', 'sales'];

/** Counts by arm and in all, then what went wrong. */
export function formatSummary(summary: TrafficSummary): string {
  const arms = Object.entries(summary.arms).sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = [HEADER, ...arms.map(([arm, counts]) => rowOf(arm, counts)), rowOf('all', summary)];
  const widths = HEADER.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const table = rows.map((cells) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
  const refused = Object.entries(summary.refused).map(
    ([status, count]) => `${status === '0' ? 'no answer' : status}: ${count}`,
  );
  return [
    `experiment ${summary.experiment}, ${summary.users} people, ${summary.seconds.toFixed(1)} s`,
    ...table,
    `searches ${summary.requests}, of crawlers ${summary.crawled}, not answered with 200: ${refused.join(', ') || 'none'}`,
    `clicks refused ${summary.refusedClicks}, purchases refused ${summary.refusedConversions}, still to come ${summary.unreported}`,
    '',
  ].join('\n');
}

function rowOf(arm: string, counts: TrafficCounts): string[] {
  return [
    arm,
    String(counts.answers),
    String(counts.adsShown),
    share(counts.relevantShown, counts.adsShown),
    String(counts.clicks),
    counts.answers === 0 ? '-' : (counts.clicks / counts.answers).toFixed(3),
    String(counts.conversions),
    formatMicros(counts.conversionValueMicros),
  ];
}

function share(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`;
}
