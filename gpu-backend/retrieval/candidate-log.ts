/**
 * What was considered for a sample of the queries, with every score and source, as lines of JSON from which retrievers
 * and the relevance map can be trained again, including on the ads that nobody saw. Each row has the probability with
 * which it was taken. Bounded in memory and on disk: rows that the disk does not take in time are dropped and counted,
 * and the oldest file makes room.
 */
import { appendFile, mkdir, readdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Considered } from './retrieve.ts';

export interface CandidateLogOptions {
  dir: string;
  /** Share of the answers that are logged, 0 to 1: the rows' propensity. */
  share: number;
  now: () => number;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Bytes of one file, and files kept. */
  fileBytes?: number;
  files?: number;
  /** Bytes of rows that wait for the disk, or are on their way to it, from which on no more are taken. */
  waitingBytes?: number;
  /** Told of each write that failed. */
  onError: (error: unknown) => void;
}

export interface CandidateLog {
  /** Takes the answer if chance wants it; `answer` is called only then. */
  offer(answer: () => Considered): void;
  stats(): { logged: number; dropped: number };
  /** Resolves when what was taken is written. */
  close(): Promise<void>;
}

const NAME = /^candidates-(\d+)\.jsonl$/;

async function filesIn(dir: string): Promise<number[]> {
  const numbers = (await readdir(dir)).flatMap((name) => NAME.exec(name)?.[1] ?? []);
  return numbers.map(Number).sort((a, b) => a - b);
}

/** Cuts off a row that broke off when its process, or the room on the disk, came to an end; answers the bytes that are left. */
async function wholeRows(path: string): Promise<number> {
  const content = await readFile(path).catch(() => Buffer.alloc(0)); // not there yet
  const whole = content.lastIndexOf('\n') + 1;
  if (whole < content.length) await truncate(path, whole);
  return whole;
}

/** Opens the folder, and continues after what an earlier run left there. */
export async function openCandidateLog(options: CandidateLogOptions): Promise<CandidateLog> {
  const { dir, share, now, random, fileBytes = 64e6, files = 4, waitingBytes = 16e6, onError } = options;
  await mkdir(dir, { recursive: true });
  const pathOf = (number: number) => join(dir, `candidates-${number}.jsonl`);
  let number = (await filesIn(dir)).at(-1) ?? 1;
  let bytes = await wholeRows(pathOf(number));
  let broken = false;
  let [logged, dropped] = [0, 0];
  let waiting: Buffer[] = [];
  let held = 0;
  let writing: Promise<void> | undefined;

  const write = async () => {
    while (waiting.length > 0) {
      const rows = waiting;
      waiting = [];
      const content = Buffer.concat(rows);
      try {
        if (broken) bytes = await wholeRows(pathOf(number));
        broken = false;
        if (bytes > 0 && bytes + content.length > fileBytes) {
          number++;
          bytes = 0;
          for (const old of (await filesIn(dir)).slice(0, -(files - 1) || undefined)) await rm(pathOf(old));
        }
        await appendFile(pathOf(number), content);
        bytes += content.length;
        logged += rows.length;
      } catch (error) {
        broken = true;
        dropped += rows.length;
        onError(error);
      } finally {
        held -= content.length;
      }
    }
  };

  return {
    offer(answer) {
      if (random() >= share) return;
      if (held >= waitingBytes) {
        dropped++;
        return;
      }
      const { request, ...considered } = answer();
      const { query, market, locale, plan } = request;
      const row = { atMs: now(), propensity: share, query, market, locale, plan, ...considered };
      const line = Buffer.from(`${JSON.stringify(row)}\n`);
      waiting.push(line);
      held += line.length;
      writing ??= write().finally(() => {
        writing = undefined;
      });
    },
    stats: () => ({ logged, dropped }),
    close: async () => void (await writing),
  };
}
