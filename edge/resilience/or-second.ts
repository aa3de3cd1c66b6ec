/** What either of two backends can tell, because they share a database: the first is asked, and the second where that does not help. */
import { HarnessError } from '../../shared/problem.ts';
import { TIMED_OUT, within } from '../deadline.ts';

/**
 * The answer of the first; where it fails or has not answered after `lateMs`, of whichever answers first. One that is cut off from the
 * database refuses, or is long in finding out, while the other takes changes. Where both fail, the first's failure with both reasons.
 */
export async function orSecond<T>(first: () => Promise<T>, second: () => Promise<T>, lateMs: number): Promise<T> {
  const asked = first();
  const early = await within(
    asked.catch((): typeof TIMED_OUT => TIMED_OUT),
    lateMs,
  );
  if (early !== TIMED_OUT) return early;
  return Promise.any([asked, second()]).catch((failed: AggregateError) => {
    const errors: Error[] = failed.errors;
    const code = errors[0] instanceof HarnessError ? errors[0].code : 'backend_unavailable';
    throw new HarnessError(code, errors.map(({ message }) => message).join('; '), { cause: failed });
  });
}
