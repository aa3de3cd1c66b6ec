/** Waiting that ends: every wait on something that may hang goes through here. */
import { HarnessError } from '../shared/problem.ts';

export const TIMED_OUT = Symbol('timed out');

async function withinOnce<T>(promise: Promise<T>, ms: number): Promise<T | typeof TIMED_OUT> {
  let timer: ReturnType<typeof setTimeout>;
  const timeout = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(() => resolve(TIMED_OUT), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer!);
  }
}

/**
 * What the promise settles to, or {@link TIMED_OUT} after `ms`; the promise itself goes on. The wait has two halves: a
 * timer fires late when the isolate itself stood still, and then the result may already be there, queued behind it.
 */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | typeof TIMED_OUT> {
  const half = Math.floor(Math.max(0, ms) / 2);
  const early = await withinOnce(promise, half);
  return early === TIMED_OUT ? withinOnce(promise, Math.max(0, ms) - half) : early;
}

/** The error of a wait that was {@link TIMED_OUT} after `ms`. */
export const tookLonger = (ms: number) => new HarnessError('deadline_exceeded', `no answer within ${ms} ms`);
