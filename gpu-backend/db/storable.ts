/** Text that JSON carries and Postgres does not: U+0000, and halves of surrogate pairs. */
import { HarnessError } from '../../shared/problem.ts';

/** Path of the first string that cannot be stored, or `undefined`. Keys count as strings. */
export function unstorable(value: unknown, path = ''): string | undefined {
  if (typeof value === 'string') return value.includes('\0') || !value.isWellFormed() ? path || 'text' : undefined;
  if (value === null || typeof value !== 'object') return undefined;
  for (const [key, child] of Object.entries(value)) {
    const here = path === '' ? key : `${path}.${key}`;
    const found = unstorable(key, 'a key') ?? unstorable(child, here);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Throws `bad_request` for text that Postgres does not take; `what` names the value. */
export function requireStorable(value: unknown, what: string): void {
  const bad = unstorable(value);
  if (bad !== undefined)
    throw new HarnessError('bad_request', `${what}.${bad}: expected text without U+0000 and unpaired surrogates.`);
}
