/** Work on many things that holds the thread for a few milliseconds at a time. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** After so long others get a turn: queries wait no longer for it. */
const TURN_MS = 4;

/** Does the work on each, in order, letting others run in between. */
export async function inTurns<T>(items: Iterable<T>, work: (item: T, index: number) => void): Promise<void> {
  let beganAt = performance.now();
  let index = 0;
  for (const item of items) {
    work(item, index++);
    if (performance.now() - beganAt < TURN_MS) continue;
    await nextTurn();
    beganAt = performance.now();
  }
}
