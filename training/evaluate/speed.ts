/**
 * Latency and throughput of encoders, measured in turn in one run, so that whatever else the machine does affects all
 * alike.
 */
import type { TextEncoderSession } from '../runner/encoder.ts';

/** An encoder to be timed. */
export interface Contender {
  /** One thread: what a query costs. */
  readonly single: TextEncoderSession;
  /** All threads: what a machine yields. */
  readonly full: TextEncoderSession;
  /** What it reads: the same queries for all, each in the form that this encoder really gets. */
  readonly texts: readonly string[];
}

export interface SpeedOptions {
  /** Texts a batch of the throughput measurement, padded to the longest of the batch. */
  readonly batch?: number;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

/** What was measured of one. */
export interface EncoderSpeed {
  /** Milliseconds for one query, tokenisation included, one thread. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Queries a second in batches, all threads: the median over the batches. */
  readonly queriesPerSecond: number;
  /** Mean length of what it read, in tokens. */
  readonly tokens: number;
}

const quantile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
};

const WARMUP = 20;
/** Queries timed before the next encoder has its turn. */
const TURN = 25;

/** Slices of `size`; a remainder only where it is all there is. */
function batches<T>(items: readonly T[], size: number): (readonly T[])[] {
  if (items.length < size) return [items];
  return Array.from({ length: Math.floor(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Times all contenders in turn, by name. */
export async function measureSpeed<Name extends string>(
  contenders: Readonly<Record<Name, Contender>>,
  { batch = 32, now = () => performance.now() }: SpeedOptions = {},
): Promise<Record<Name, EncoderSpeed>> {
  const runs = (Object.entries(contenders) as [Name, Contender][]).map(([name, contender]) => ({
    name,
    ...contender,
    times: [] as number[],
    rates: [] as number[],
  }));
  const timed = async (session: TextEncoderSession, texts: readonly string[]) => {
    const start = now();
    await session.run(session.tokenizer.pad(texts.map((text) => session.tokenizer.encode(text))));
    return now() - start;
  };

  const count = Math.max(0, ...runs.map(({ texts }) => texts.length));
  for (const { single, texts } of runs) for (const text of texts.slice(0, WARMUP)) await timed(single, [text]);
  for (let start = 0; start < count; start += TURN) {
    for (const { single, texts, times } of runs) {
      for (const text of texts.slice(start, start + TURN)) times.push(await timed(single, [text]));
    }
  }

  const groups = runs.map(({ texts }) => batches(texts, batch));
  for (const [i, { full }] of runs.entries()) await timed(full, groups[i]![0]!);
  for (const turn of groups[0]?.keys() ?? []) {
    for (const [i, { full, rates }] of runs.entries()) {
      const group = groups[i]![turn]!;
      rates.push((group.length / (await timed(full, group))) * 1000);
    }
  }

  const speed = runs.map(({ name, single, texts, times, rates }) => [
    name,
    {
      p50Ms: quantile(times, 0.5),
      p99Ms: quantile(times, 0.99),
      queriesPerSecond: quantile(rates, 0.5),
      tokens: texts.reduce((sum, text) => sum + single.tokenizer.encode(text).length, 0) / texts.length,
    },
  ]);
  return Object.fromEntries(speed) as Record<Name, EncoderSpeed>;
}
