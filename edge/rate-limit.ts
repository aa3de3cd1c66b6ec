/** `429` for a client address that asks too often. The address is the key of a counter and goes nowhere else. */
import { createMiddleware } from 'hono/factory';
import { HarnessError } from '../shared/problem.ts';
import { TIMED_OUT, tookLonger, within } from './deadline.ts';
import type { RateLimit } from './env.ts';
import type { EdgeContext, Isolate } from './isolate.ts';
import { onceAMinute } from './once-a-minute.ts';

/** The longer of the two periods that a rate-limit binding may have. */
const RETRY_AFTER_SECONDS = 60;
/** Longest wait for the binding. */
const WAIT_MS = 100;

/** What is before an IPv4 address that is written as an IPv6 one (RFC 4291, 2.5.5.2), as proxies do whose socket takes both. */
const MAPPED = /^::ffff:(?=[\d.]+$)/i;

/**
 * Who counts as one client: an IPv4 address, or the /64 network of an IPv6 one, within which a client may choose freely.
 * `undefined` without the header that Cloudflare sets, where a proxy or nobody is in front: then the proxy does the limiting.
 */
export function clientKey(headers: Headers): string | undefined {
  const address = headers.get('cf-connecting-ip')?.replace(MAPPED, '');
  if (address === undefined || !address.includes(':')) return address;
  const groups = groupsOf(address);
  const network = groups.slice(0, 4).map((group) => group.toString(16));
  // The mapped ones again, in hexadecimal groups.
  const isMapped = groups.length === 8 && groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return isMapped
    ? groups
        .slice(6)
        .flatMap((group) => [group >> 8, group & 0xff])
        .join('.')
    : `${network.join(':')}::/64`;
}

/** The groups of an IPv6 address as numbers, those that `::` stands for among them. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    while (groups.length + after.length < 8) groups.push('0');
    groups.push(...after);
  }
  return groups.map((group) => Number.parseInt(group, 16));
}

export interface RateLimiterOptions {
  binding: RateLimit;
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  onError: (message: string, error: unknown) => void;
}

/** The binding as the edge goes by it: one that fails or hangs refuses nobody, and holds nobody for long. */
export class RateLimiter {
  readonly counts = { refused: 0, failed: 0 };
  readonly #binding: RateLimit;
  readonly #sayFailed: RateLimiterOptions['onError'];

  constructor({ binding, now, onError }: RateLimiterOptions) {
    this.#binding = binding;
    this.#sayFailed = onceAMinute(now, onError);
  }

  /** Whether the client has asked too often. Never rejects. */
  async refuses(key: string): Promise<boolean> {
    try {
      const asked = this.#binding.limit({ key });
      // A binding that counts in this very process has answered already; a timer would cost more than it.
      const verdict = (await Promise.race([asked, undefined])) ?? (await within(asked, WAIT_MS));
      if (verdict === TIMED_OUT) throw tookLonger(WAIT_MS);
      if (verdict.success) return false;
      this.counts.refused += 1;
      return true;
    } catch (error) {
      this.counts.failed += 1;
      this.#sayFailed('the rate limiter failed', error);
      return false;
    }
  }
}

/** Throws `too_many_requests`. */
export async function limitRate({ limiter }: Pick<Isolate, 'limiter'>, headers: Headers): Promise<void> {
  if (limiter === undefined) return;
  const key = clientKey(headers);
  if (key === undefined || !(await limiter.refuses(key))) return;
  throw new HarnessError('too_many_requests', 'Too many requests from this address; wait a minute.', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

/** The same for routes of the application. */
export const rateLimit = (isolate: Pick<Isolate, 'limiter'>) =>
  createMiddleware<EdgeContext>(async (c, next) => {
    await limitRate(isolate, c.req.raw.headers);
    await next();
  });
