/** `npm run traffic`: the command line of live traffic, with a progress bar and a summary by arm. */
import { argv, stderr, stdout } from 'node:process';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { DEFAULT_EXPERIMENT } from '../shared/defaults.ts';
import { formatMicros } from '../shared/money.ts';
import { HarnessError } from '../shared/problem.ts';
import type { TrafficCounts, TrafficSummary } from './traffic-counts.ts';
import { DEFAULT_CONCURRENCY, DEFAULT_EDGE, runTraffic, type TrafficOptions } from './traffic-run.ts';

export type { TrafficCounts, TrafficSummary } from './traffic-counts.ts';
export { runTraffic, type TrafficOptions } from './traffic-run.ts';

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number >= 1');
  return value;
}

interface CommandOptions {
  queries: number;
  users?: number;
  seed: number;
  edge: string;
  experiment: string;
  concurrency: number;
  json?: boolean;
}

/** The command. `run` sends the traffic; a caller may wrap it, for example to start a system first. */
export function createTrafficCommand(run: (options: TrafficOptions) => Promise<TrafficSummary> = runTraffic): Command {
  return new Command('traffic')
    .description('Send live traffic through the running edge: people who search, click and sometimes buy.')
    .requiredOption('--queries <number>', 'searches to make', positive)
    .option('--users <number>', 'people who make them (default: one for eight searches)', positive)
    .option('--seed <number>', 'seed of people, sessions and clicks', positive, 1)
    .option('--edge <url>', 'base URL of the edge', DEFAULT_EDGE)
    .option('--experiment <key>', 'experiment whose arms the summary tells apart', DEFAULT_EXPERIMENT)
    .option('--concurrency <number>', 'sessions in flight', positive, DEFAULT_CONCURRENCY)
    .option('--json', 'print the summary as JSON')
    .action(async ({ json, users, ...options }: CommandOptions) => {
      const bar = stderr.isTTY
        ? new SingleBar({
            format: '{bar} {value}/{total} searches, {rate}/s, {eta_formatted} left',
            stream: stderr,
            clearOnComplete: true,
          })
        : undefined;
      let startedAt = 0;
      const summary = await run({
        ...options,
        ...(users === undefined ? {} : { users }),
        onProgress: ({ done, total }) => {
          if (startedAt === 0) {
            startedAt = performance.now();
            bar?.start(total, 0, { rate: '-' });
          }
          const seconds = (performance.now() - startedAt) / 1_000;
          bar?.update(done, { rate: seconds > 0 ? Math.round(done / seconds) : '-' });
        },
      }).finally(() => bar?.stop());
      stdout.write(json ? `${JSON.stringify(summary, null, 2)}\n` : formatSummary(summary));
    });
}

/** The summary as a table for people. */
export function formatSummary(summary: TrafficSummary): string {
  const header = ['arm', 'answers', 'ads shown', 'relevant', 'clicks', 'clicks/answer', 'purchases', 'sales'];
  const row = (arm: string, counts: TrafficCounts) => [
    arm,
    String(counts.answers),
    String(counts.adsShown),
    share(counts.relevantShown, counts.adsShown),
    String(counts.clicks),
    counts.answers === 0 ? '-' : (counts.clicks / counts.answers).toFixed(3),
    String(counts.conversions),
    formatMicros(counts.conversionValueMicros),
  ];
  const arms = Object.entries(summary.arms).sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = [header, ...arms.map(([arm, counts]) => row(arm, counts)), row('all', summary)];
  const widths = header.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const table = rows.map((cells) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  );
  const refused = Object.entries(summary.refused).map(
    ([status, count]) => `${status === '0' ? 'no answer' : status}: ${count}`,
  );
  return [
    `experiment ${summary.experiment}, ${summary.users} people, ${summary.seconds.toFixed(1)} s`,
    ...table,
    `searches ${summary.requests}, not answered with 200: ${refused.length === 0 ? 'none' : refused.join(', ')}`,
    `clicks refused ${summary.refusedClicks}, purchases refused ${summary.refusedConversions}`,
    '',
  ].join('\n');
}

function share(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`;
}

if (argv[1] === import.meta.filename) {
  try {
    await createTrafficCommand().parseAsync();
  } catch (error) {
    if (!(error instanceof HarnessError)) throw error;
    stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
