/** `429` for a client address that asks too often. The address is the key of a counter and goes nowhere else. */
import { createMiddleware } from 'hono/factory';
import { HarnessError } from '../shared/problem.ts';
import type { EdgeContext, Isolate } from './isolate.ts';

/** The longer of the two periods that a rate-limit binding may have. */
const RETRY_AFTER_SECONDS = 60;

/** What is before an IPv4 address that is written as an IPv6 one (RFC 4291, 2.5.5.2), as proxies do whose socket takes both. */
const MAPPED = /^::ffff:(?=[\d.]+$)/i;

/**
 * Who counts as one client: an IPv4 address, or the /64 network of an IPv6 one, within which a client may choose freely.
 * `undefined` without the header that Cloudflare sets, where a proxy or nobody is in front: then the proxy does the limiting.
 */
export function clientKey(headers: Headers): string | undefined {
  const address = headers.get('cf-connecting-ip')?.replace(MAPPED, '');
  if (address === undefined || !address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    while (groups.length + after.length < 8) groups.push('0');
    groups.push(...after);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

/** Throws `too_many_requests`; a limiter that fails refuses nobody. */
export async function limitRate({ limiter, onError }: Isolate, headers: Headers): Promise<void> {
  const key = clientKey(headers);
  if (limiter === undefined || key === undefined) return;
  const { success } = await limiter.limit({ key }).catch((error: unknown) => {
    onError('the rate limiter failed', error);
    return { success: true };
  });
  if (success) return;
  throw new HarnessError('too_many_requests', 'Too many requests from this address; wait a minute.', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

/** The same for routes of the application. */
export const rateLimit = (isolate: Isolate) =>
  createMiddleware<EdgeContext>(async (c, next) => {
    await limitRate(isolate, c.req.raw.headers);
    await next();
  });
