/**
 * Processor time of the encoder service's threads. As a worker thread it is the service's own worker, which keeps
 * reporting what it has spent; what the process spends beside its workers and its event loop is garbage collection and
 * compilation.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData, threadId } from 'node:worker_threads';

/** Seconds of processor time since the start. */
export interface ThreadTimes {
  eventLoop: number;
  workers: number;
  process: number;
}

/** Where the workers of a process write: microseconds of each, by its thread's number. */
const NAME = 'bench:encoder-meter';
const MOST_WORKERS = 64;
const SAID_EVERY_MS = 20;

const microseconds = ({ user, system }: NodeJS.CpuUsage) => user + system;

/** To be called by the thread that answers, before the workers start with `workerUrl`. */
export function encoderMeter(): { workerUrl: URL; read: () => ThreadTimes } {
  const spent = new Float64Array(new SharedArrayBuffer(8 * MOST_WORKERS));
  setEnvironmentData(NAME, spent);
  return {
    workerUrl: new URL(import.meta.url),
    read: () => ({
      eventLoop: microseconds(process.threadCpuUsage()) / 1e6,
      workers: spent.reduce((a, b) => a + b) / 1e6,
      process: microseconds(process.cpuUsage()) / 1e6,
    }),
  };
}

if (!isMainThread) {
  const spent = getEnvironmentData(NAME) as Float64Array;
  const say = () => {
    spent[threadId % MOST_WORKERS] = microseconds(process.threadCpuUsage());
  };
  setInterval(say, SAID_EVERY_MS).unref();
  await import('../../gpu-backend/encoder/worker.ts');
}
