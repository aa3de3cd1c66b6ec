/**
 * A rate-limit binding without Cloudflare, where one isolate serves everything: counts by key in its memory, forgotten
 * when the period ends. Periods begin on the clock, so that a client may ask at most twice the limit around a boundary.
 * Where nothing is in front, a client chooses its key itself: so keys are shortened, and the least recently seen are
 * forgotten when there are too many.
 */
import type { RateLimit } from '../../edge/env.ts';

export interface RateLimitSettings {
  /** Requests of one key in a period. */
  limit: number;
  /** Seconds. */
  period: number;
}

/** Clients counted at a time, and characters that tell them apart: an address has at most 45. */
const [CLIENTS, KEY_LENGTH] = [50_000, 64];

export function rateLimiter({ limit, period }: RateLimitSettings, now: () => number = Date.now): RateLimit {
  /** The least recently seen first. */
  const counts = new Map<string, number>();
  let current = Number.NaN;
  return {
    async limit({ key }) {
      const at = Math.floor(now() / (period * 1_000));
      if (at !== current) {
        counts.clear();
        current = at;
      }
      const client = key.slice(0, KEY_LENGTH);
      const count = counts.get(client) ?? 0;
      const success = count < limit;
      counts.delete(client);
      counts.set(client, success ? count + 1 : count);
      if (counts.size > CLIENTS) counts.delete(counts.keys().next().value!);
      return { success };
    },
  };
}

/** What workerd calls to make the binding, with the settings of wrangler.toml. */
export default ({ SETTINGS }: { SETTINGS: RateLimitSettings }) => rateLimiter(SETTINGS);
