/** How far back the kill list goes. It names nothing that was taken down before, so candidates of then are no answer. */
import { HarnessError } from '../../shared/problem.ts';

/** Throws `backend_unavailable` for candidates of a generation before `since`: whoever gave them is cut off, or far behind. */
export function requireReached(generation: number, since: number): void {
  if (generation >= since) return;
  throw new HarnessError(
    'backend_unavailable',
    `candidates: expected generation ${since} or later, got ${generation}, which the kill list does not cover.`,
  );
}
