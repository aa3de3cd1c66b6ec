/**
 * How long this machine stands still by itself. Where its host gives the processors to others, a thread that only reads
 * the clock sees it jump; no server can spare a request that wait. Latencies are therefore taken in turns between two
 * looks at the clock. Where these find that the machine stood still, further turns are taken, and those count in which
 * it did so least, whatever the latencies were; the median of all is reported beside them.
 */
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { median } from 'simple-statistics';
import { bounded, type Row } from './row.ts';

/** Shorter jumps of the clock are the loop's own, and interrupts. */
const SHORTEST_MS = 0.2;
/** Length of a look. */
const LOOK_MS = 1_000;
/** What a steady machine stays below: a fifth of the tightest bound on a p99. */
const STEADY_MS = 1;
/** Turns at most, for each that is wanted. */
const ATTEMPTS = 3;

/**
 * What a request that comes at any moment waits for a processor to go on, by the jumps of the clock over so many milliseconds: the wait that
 * all but the share stay below.
 */
export function waitFor(jumps: readonly number[], overMs: number, share: number): number {
  const longestFirst = jumps.toSorted((a, b) => b - a);
  // Of the k longest, the time that they exceed x falls with x until it is what is asked for, or the next is as long.
  const wanted = (1 - share) * overMs;
  let sum = 0;
  for (const [k, jump] of longestFirst.entries()) {
    if (sum - k * jump >= wanted) return (sum - wanted) / k;
    sum += jump;
  }
  return Math.max(0, (sum - wanted) / Math.max(1, longestFirst.length));
}

function look(): number[] {
  const jumps: number[] = [];
  for (const end = performance.now() + LOOK_MS, last = { at: end - LOOK_MS }; last.at < end; ) {
    const at = performance.now();
    if (at - last.at > SHORTEST_MS) jumps.push(at - last.at);
    last.at = at;
  }
  return jumps;
}

/** p99 of {@link waitFor} over all processors at once, in milliseconds. */
export async function standstill(): Promise<number> {
  const looks = Array.from({ length: availableParallelism() }, () => {
    const worker = new Worker(import.meta.filename, { workerData: import.meta.filename });
    return new Promise<number[]>((resolve, reject) => worker.once('message', resolve).once('error', reject));
  });
  const jumps = await Promise.all(looks);
  return waitFor(jumps.flat(), LOOK_MS * jumps.length, 0.99);
}

if (!isMainThread && workerData === import.meta.filename) parentPort!.postMessage(look());

/** Does something between two looks; `stoodMs` is what the worse of them found. */
export async function watched<T>(work: () => Promise<T>): Promise<{ result: T; stoodMs: number }> {
  const before = await standstill();
  const result = await work();
  return { result, stoodMs: Math.max(before, await standstill()) };
}

export interface Turns<T> {
  /** As many as were wanted: those of the steadiest moments. */
  counted: T[];
  all: T[];
}

/**
 * Takes turns until the machine did not stand still in this many of them, or has used up the turns allowed; `stoodMs`
 * as by {@link watched}.
 */
export async function steadyTurns<T extends { stoodMs: number }>(
  wanted: number,
  take: (turn: number) => Promise<T>,
): Promise<Turns<T>> {
  const all: T[] = [];
  const steady = () => all.filter(({ stoodMs }) => stoodMs <= STEADY_MS);
  while (steady().length < wanted && all.length < ATTEMPTS * wanted) all.push(await take(all.length + 1));
  return { counted: all.toSorted((a, b) => a.stoodMs - b.stoodMs).slice(0, wanted), all };
}

/** The rows of a latency with a bound, in milliseconds: the median of the turns that count, how far they differ, and that of all turns. */
export function latencyRows<T extends { stoodMs: number }>(
  metric: string,
  { counted, all }: Turns<T>,
  { of, atMost }: { of: (turn: T) => number; atMost: number },
): Row[] {
  const values = counted.map(of);
  const range = `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`;
  const which =
    counted.length < all.length
      ? `the ${counted.length} steadiest of ${all.length} turns, ${range}; of all ${median(all.map(of)).toFixed(1)}`
      : `${all.length} turns, ${range}`;
  return [
    bounded(metric, median(values), `ms, median of ${which}`, ['<=', atMost]),
    {
      metric: `${metric}: a thread that does nothing waits as long for its processor`,
      value: median(counted.map(({ stoodMs }) => stoodMs)),
      unit: 'ms',
    },
  ];
}
