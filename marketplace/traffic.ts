/** `npm run traffic`: the options of traffic, its progress bar, its log, and a summary by arm. */
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { env, stderr, stdout } from 'node:process';
import { finished } from 'node:stream/promises';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';
import { DEFAULT_EXPERIMENT } from '../shared/defaults.ts';
import { HarnessError } from '../shared/problem.ts';
import { A_A } from './past.ts';
import { formatSummary } from './summary-table.ts';
import type { TrafficSummary } from './traffic-counts.ts';
import { logLine, parseLog, replayed } from './traffic-log.ts';
import { DEFAULT_CONCURRENCY, DEFAULT_EDGE, type TrafficOptions } from './traffic-run.ts';
import { NO_EFFECT, parseEffect } from './true-effect.ts';

/** Traffic as the command line asks for it. */
export interface TrafficOrder extends Omit<TrafficOptions, 'market' | 'experiment'> {
  readonly experiment: string;
  /** The A/A experiment is to be there, and the traffic is told apart by it. */
  readonly aA: boolean;
  /** Past days to make up, instead of live traffic. */
  readonly past: number | undefined;
  /** Factor on daily budgets, for past days. */
  readonly budgets: number;
}

function number(test: (value: number) => boolean, expected: string) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !test(value)) throw new InvalidArgumentError(`expected ${expected}`);
    return value;
  };
}

const whole = number((value) => Number.isSafeInteger(value) && value >= 1, 'a whole number >= 1');
const positive = number((value) => Number.isFinite(value) && value > 0, 'a number above 0');
const MOST_CRAWLERS = 0.9;
const share = number((value) => value >= 0 && value <= MOST_CRAWLERS, `a share of 0 to ${MOST_CRAWLERS}`);
const collect = (text: string, before: string[]) => [...before, text];

interface CommandOptions {
  queries?: number;
  live?: boolean;
  replay?: string;
  past?: number;
  users?: number;
  seed: number;
  edge: string;
  experiment?: string;
  aA?: boolean;
  effect: string[];
  arm: string;
  bots: number;
  hiddenBots: number;
  budgets: number;
  rate?: number;
  day?: number;
  concurrency: number;
  record?: string;
  json?: boolean;
}

/** The command. `run` sends the traffic, and may start a system first. Ctrl-C ends it with the summary so far. */
export function createTrafficCommand(run: (order: TrafficOrder) => Promise<TrafficSummary>): Command {
  return new Command('traffic')
    .description('Send live traffic through the running edge: people who search, click and sometimes buy.')
    .option('--queries <number>', 'searches to make', whole)
    .option('--live', 'go on until Ctrl-C')
    .option('--replay <file>', 'send the searches of a log (JSON lines: atMs, user, market, query, clicks)')
    .option('--past <days>', 'make up past days of an A/A experiment instead, --queries in all', whole)
    .option('--users <number>', 'people who search (default: one for eight searches)', whole)
    .option('--seed <number>', 'seed of people, sessions and clicks', whole, 1)
    .option('--edge <url>', 'base URL of the edge', env.EDGE_URL || DEFAULT_EDGE)
    .option('--experiment <key>', `experiment that the summary tells apart (default: "${DEFAULT_EXPERIMENT}")`)
    .option('--a-a', 'use the A/A experiment, whose arms are served alike, and create it where it is missing')
    .option('--effect <metric=change>', 'true effect on an arm, such as revenue=+1%; may be given again', collect, [])
    .option('--arm <key>', 'arm that has the effect', 'treatment')
    .option('--bots <share>', 'share of searches made by crawlers that say so', share, 0)
    .option('--hidden-bots <share>', 'share of searches made by crawlers that pass for people', share, 0)
    .option('--budgets <factor>', 'factor on daily budgets, with --past; small ones run out', positive, 1)
    .option('--rate <number>', 'searches a second on average (default: as fast as possible; 3 with --live)', positive)
    .option('--day <seconds>', 'how long a simulated day lasts; traffic follows its hours', positive)
    .option('--concurrency <number>', 'sessions in flight', whole, DEFAULT_CONCURRENCY)
    .option('--record <file>', 'write the searches and clicks as a log for --replay')
    .option('--json', 'print the summary as JSON')
    .allowExcessArguments(false)
    .action(async (options: CommandOptions) => {
      const order = orderOf(options);
      const record = options.record === undefined ? undefined : await openRecord(options.record);
      const { signal, release } = untilInterrupted();
      const bar = progressBar();
      const summary = await run({
        ...order,
        signal,
        onProgress: bar.update,
        ...(record === undefined ? {} : { onAnswer: (answer, met) => record.write(logLine(answer, met)) }),
      }).finally(() => {
        bar.stop();
        release();
      });
      await record?.close();
      const { effect, experiment } = order;
      if (effect !== undefined && effect !== NO_EFFECT && summary.arms[effect.arm] === undefined)
        stderr.write(`--arm: no answer was in ${effect.arm} of ${experiment}: the effect came upon nobody.\n`);
      stdout.write(options.json ? `${JSON.stringify(summary, null, 2)}\n` : formatSummary(summary));
    });
}

/** A file of lines; both it and its end throw `configuration` where the disk does not take them. */
async function openRecord(path: string): Promise<{ write(line: string): void; close(): Promise<void> }> {
  const refused = (cause: unknown): never => {
    throw new HarnessError('configuration', `--record: ${path} cannot be written (${(cause as Error).message}).`, {
      cause,
    });
  };
  const stream = createWriteStream(path);
  await once(stream, 'open').catch(refused);
  stream.on('error', () => {}); // told at the end
  return {
    write: (line) => void stream.write(`${line}\n`),
    close: () => finished(stream.end()).catch(refused),
  };
}

function orderOf(options: CommandOptions): TrafficOrder {
  const { queries, live = false, replay, past, users, experiment, aA = false, rate, day } = options;
  const ways = [live, replay !== undefined, queries !== undefined].filter(Boolean).length;
  if (ways !== 1) throw new HarnessError('bad_request', 'Expected one of --queries NUMBER, --live and --replay FILE.');
  if (past !== undefined && queries === undefined)
    throw new HarnessError('bad_request', '--past: expected --queries NUMBER beside it, for all days together.');
  if (options.budgets !== 1 && past === undefined)
    throw new HarnessError(
      'bad_request',
      "--budgets: expected --past DAYS beside it: live budgets are the catalogue's.",
    );
  if (options.effect.length > 0 && replay !== undefined)
    throw new HarnessError(
      'bad_request',
      '--effect: expected no --replay beside it: a log says itself who clicks what.',
    );
  if (options.bots + options.hiddenBots > MOST_CRAWLERS)
    throw new HarnessError(
      'bad_request',
      `--bots, --hidden-bots: expected at most ${MOST_CRAWLERS} together, got ${options.bots + options.hiddenBots}.`,
    );
  return {
    queries,
    past,
    aA: aA || past !== undefined,
    budgets: options.budgets,
    edge: options.edge,
    seed: options.seed,
    experiment: experiment ?? (aA || past !== undefined ? A_A.key : DEFAULT_EXPERIMENT),
    effect: options.effect.length === 0 ? NO_EFFECT : parseEffect(options.effect, options.arm),
    crawlers: options.bots,
    hiddenCrawlers: options.hiddenBots,
    concurrency: options.concurrency,
    ...(users === undefined ? {} : { users }),
    ...(rate === undefined && !live ? {} : { rate: rate ?? LIVE_RATE }),
    ...(day === undefined ? {} : { daySeconds: day }),
    ...(replay === undefined ? {} : { replay: replayed(readLog(replay)) }),
  };
}

/** Searches a second of traffic without an end, unless told otherwise. */
export const LIVE_RATE = 3;

function readLog(file: string) {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new HarnessError('bad_request', `--replay: ${file} cannot be read (${(cause as Error).message}).`, { cause });
  }
  return parseLog(text, `--replay: ${file}`);
}

/** Given at the first Ctrl-C; a second one ends the process as usual. */
function untilInterrupted(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const stop = () => {
    stderr.write('\nStopping: finishing what is in flight ...\n');
    release();
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const release = () => signals.forEach((name) => void process.off(name, stop));
  for (const name of signals) process.on(name, stop);
  return { signal: controller.signal, release };
}

function progressBar() {
  let bar: SingleBar | undefined;
  let startedAt = 0;
  return {
    update({ done, total }: { done: number; total: number | undefined }) {
      if (!stderr.isTTY) return;
      if (bar === undefined) {
        startedAt = performance.now();
        const format =
          total === undefined
            ? '{value} searches, {rate}/s'
            : '{bar} {value}/{total} searches, {rate}/s, {eta_formatted} left';
        bar = new SingleBar({ format, stream: stderr, clearOnComplete: true });
        bar.start(total ?? 0, 0, { rate: '-' });
      }
      const seconds = (performance.now() - startedAt) / 1_000;
      bar.update(done, { rate: seconds > 0 ? Math.round(done / seconds) : '-' });
    },
    stop: () => bar?.stop(),
  };
}
