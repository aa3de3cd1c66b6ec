/** What either of two backends can tell, because they share a database: the first is asked, and the second where that does not help. */
import { TIMED_OUT, within } from '../deadline.ts';

/**
 * The answer of the first; where it fails or has not answered after `lateMs`, of whichever answers first. One that is cut off from the
 * database refuses, or is long in finding out, while the other takes changes.
 */
export async function orSecond<T>(first: () => Promise<T>, second: () => Promise<T>, lateMs: number): Promise<T> {
  const asked = first();
  const early = await within(
    asked.catch((): typeof TIMED_OUT => TIMED_OUT),
    lateMs,
  );
  return early === TIMED_OUT ? Promise.any([asked, second()]) : early;
}
