/** Latency and throughput of two encoders, measured in turn in one run, so that what else the machine does hits both alike. */
import type { TextEncoderSession } from '../runner/encoder.ts';

export interface Contender {
  /** One thread: what a query costs. */
  readonly single: TextEncoderSession;
  /** All threads: what a machine yields. */
  readonly full: TextEncoderSession;
}

export interface SpeedOptions {
  readonly texts: readonly string[];
  /** Texts a batch of the throughput measurement. */
  readonly batch?: number;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

export interface EncoderSpeed {
  /** Milliseconds for one query, tokenisation included, one thread. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Queries a second in batches, all threads. */
  readonly queriesPerSecond: number;
}

export interface Speed {
  readonly teacher: EncoderSpeed;
  readonly student: EncoderSpeed;
  /** teacher p50 / student p50. */
  readonly latencyRatio: number;
  /** student / teacher. */
  readonly throughputRatio: number;
}

const quantile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
};

const WARMUP = 20;
/** Queries timed before the other encoder has its turn. */
const TURN = 25;

export async function measureSpeed(
  contenders: { teacher: Contender; student: Contender },
  { texts, batch = 32, now = () => performance.now() }: SpeedOptions,
): Promise<Speed> {
  const names = ['teacher', 'student'] as const;
  const times = { teacher: [] as number[], student: [] as number[] };
  const one = async ({ single }: Contender, text: string) => {
    const start = now();
    await single.run(single.tokenizer.pad([single.tokenizer.encode(text)]));
    return now() - start;
  };
  for (const name of names) for (const text of texts.slice(0, WARMUP)) await one(contenders[name], text);
  for (let start = 0; start < texts.length; start += TURN) {
    for (const name of names) {
      for (const text of texts.slice(start, start + TURN)) times[name].push(await one(contenders[name], text));
    }
  }

  const batches: string[][] = [];
  for (let start = 0; start + batch <= texts.length; start += batch) batches.push(texts.slice(start, start + batch));
  if (batches.length === 0) batches.push([...texts]);
  const rates = { teacher: [] as number[], student: [] as number[] };
  const yieldOf = async ({ full }: Contender, group: readonly string[]) => {
    const start = now();
    await full.run(full.tokenizer.pad(group.map((text) => full.tokenizer.encode(text))));
    return (group.length / (now() - start)) * 1000;
  };
  for (const name of names) await yieldOf(contenders[name], batches[0]!);
  for (const group of batches) for (const name of names) rates[name].push(await yieldOf(contenders[name], group));

  const speedOf = (name: 'teacher' | 'student'): EncoderSpeed => ({
    p50Ms: quantile(times[name], 0.5),
    p99Ms: quantile(times[name], 0.99),
    queriesPerSecond: quantile(rates[name], 0.5),
  });
  const [teacher, student] = [speedOf('teacher'), speedOf('student')];
  return {
    teacher,
    student,
    latencyRatio: teacher.p50Ms / student.p50Ms,
    throughputRatio: student.queriesPerSecond / teacher.queriesPerSecond,
  };
}
