/**
 * A rate-limit binding without Cloudflare, where one isolate serves everything: counts by key in its memory, forgotten when
 * the period ends. Periods begin on the clock, so that a client may ask at most twice the limit around a boundary.
 */
import type { RateLimit } from '../../edge/env.ts';

export interface RateLimitSettings {
  /** Requests of one key in a period. */
  limit: number;
  /** Seconds. */
  period: number;
}

export function rateLimiter({ limit, period }: RateLimitSettings, now: () => number = Date.now): RateLimit {
  const counts = new Map<string, number>();
  let current = Number.NaN;
  return {
    async limit({ key }) {
      const at = Math.floor(now() / (period * 1_000));
      if (at !== current) {
        counts.clear();
        current = at;
      }
      const count = counts.get(key) ?? 0;
      if (count >= limit) return { success: false };
      counts.set(key, count + 1);
      return { success: true };
    },
  };
}

/** What workerd calls to make the binding, with the settings of wrangler.toml. */
export default ({ SETTINGS }: { SETTINGS: RateLimitSettings }) => rateLimiter(SETTINGS);
