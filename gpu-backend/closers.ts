/**
 * Letting go of what is open: in the reverse order, what may end side by side at once. One that fails or hangs does not
 * keep the others from theirs.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';

/** Ends something that is open. */
export type Closer = () => Promise<void> | void;

/** In the order of opening; what is in a list of its own may end at the same time. */
export type Closers = (Closer | Closer[])[];

/** How long what may be left behind may take to end. */
const LEFT_BEHIND_MS = 1_500;

/** The same, given up with an error when it takes longer: for what may be left behind. */
export function inTime(what: string, close: Closer, limitMs = LEFT_BEHIND_MS): Closer {
  return async () => {
    const ended = new AbortController();
    const late = pause(limitMs, undefined, { signal: ended.signal }).then(() => {
      throw new Error(`${what}: expected to end within ${limitMs} ms; left as it is`);
    });
    try {
      await Promise.race([close(), late]);
    } finally {
      ended.abort();
    }
  };
}

/** Never rejects: failures are logged. */
export async function closeAll(closers: Readonly<Closers>, log: Logger): Promise<void> {
  for (const together of closers.toReversed()) {
    const ended = await Promise.allSettled([together].flat().map(async (close) => close()));
    for (const end of ended) if (end.status === 'rejected') log.error({ err: end.reason }, 'while stopping');
  }
  log.info('stopped');
}
