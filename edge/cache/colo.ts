/**
 * The data centre's cache, through the Cache API. It knows neither stale-while-revalidate nor stale-if-error, and varies
 * by URL alone: so the expiries travel in headers of our own, and the whole key is in the URL, under a host of our own.
 */
import { TIMED_OUT, within } from '../deadline.ts';
import type { CacheEntry, CachePort } from './cache-port.ts';

/** As much of a Cache as is used here. */
export interface ResponseCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
}

const HOST = 'https://candidates.harness.internal';
const STORED_AT = 'harness-stored-at';
const SOFT_UNTIL = 'harness-soft-until';
const HARD_UNTIL = 'harness-hard-until';

export interface ColoCacheOptions {
  /** Called for each operation: a Cache object belongs to the request that opened it. */
  open: () => Promise<ResponseCache>;
  now: () => number;
  /** Longest wait for a read. */
  readMs: number;
}

export class ColoCache implements CachePort {
  readonly status = 'colo';
  readonly #open: () => Promise<ResponseCache>;
  readonly #now: () => number;
  readonly #readMs: number;

  constructor({ open, now, readMs }: ColoCacheOptions) {
    this.#open = open;
    this.#now = now;
    this.#readMs = readMs;
  }

  async get(path: string): Promise<CacheEntry | undefined> {
    const entry = await within(this.#read(path), this.#readMs);
    return entry !== TIMED_OUT && entry !== undefined && entry.hardUntilMs > this.#now() ? entry : undefined;
  }

  async #read(path: string): Promise<CacheEntry | undefined> {
    const response = await (await this.#open()).match(`${HOST}/${path}`);
    if (response === undefined) return undefined;
    const read = (name: string) => Number(response.headers.get(name) ?? Number.NaN);
    return {
      storedAtMs: read(STORED_AT),
      softUntilMs: read(SOFT_UNTIL),
      hardUntilMs: read(HARD_UNTIL),
      body: await response.text(),
    };
  }

  async put(path: string, entry: CacheEntry): Promise<void> {
    const seconds = Math.ceil((entry.hardUntilMs - this.#now()) / 1_000);
    if (seconds <= 0) return;
    const response = new Response(entry.body, {
      headers: {
        'content-type': 'application/json',
        'cache-control': `public, max-age=${seconds}`,
        [STORED_AT]: String(entry.storedAtMs),
        [SOFT_UNTIL]: String(entry.softUntilMs),
        [HARD_UNTIL]: String(entry.hardUntilMs),
      },
    });
    await (await this.#open()).put(`${HOST}/${path}`, response);
  }
}
