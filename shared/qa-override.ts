/**
 * Signed overrides for quality assurance: a token that forces arms on a request, so that a treatment can be looked at
 * before anybody else sees it. A request with one is answered and logged as usual, marked, and left out of every analysis.
 */
import * as z from 'zod';
import { HarnessError, parse } from './problem.ts';
import { type KeyRing, signToken, verifyToken } from './signature.ts';

const PURPOSE = 'qa';

/** Short names, because it travels in a URL. */
const Payload = z.lazy(() =>
  z.strictObject({
    /** Arm by experiment. */
    a: z.record(z.string(), z.string()),
    /** Expiry, UTC seconds. */
    x: z.int(),
  }),
);

/** A token that forces these arms, by experiment, until `expiresAtMs`. */
export function signOverride(
  keys: KeyRing,
  { arms, expiresAtMs }: { arms: Readonly<Record<string, string>>; expiresAtMs: number },
): Promise<string> {
  const payload: z.infer<typeof Payload> = { a: { ...arms }, x: Math.floor(expiresAtMs / 1_000) };
  return signToken(keys, PURPOSE, JSON.stringify(payload));
}

/** The arms that a token forces; throws `invalid_token` for one that is forged or expired. */
export async function readOverride(keys: KeyRing, token: string, nowMs: number): Promise<ReadonlyMap<string, string>> {
  const payload = parse(Payload, JSON.parse(await verifyToken(keys, PURPOSE, token)), 'qa');
  if (payload.x * 1_000 <= nowMs)
    throw new HarnessError('invalid_token', 'qa: the override has expired; sign a new one.');
  return new Map(Object.entries(payload.a));
}
