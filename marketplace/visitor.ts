/** Somebody's browser against the edge: searches with a cookie jar, follows ads without leaving, reports purchases. */

import { CLICK_ID_PARAMETER } from '../shared/contract/events.ts';
import { AdsResponse } from '../shared/contract/query-route.ts';
import type { Device } from '../shared/experiment.ts';
import { HarnessError, parse } from '../shared/problem.ts';
import type { Person } from './users.ts';

/** The market's side of a visitor; the times are simulated ones, which only a simulated edge reads. */
export interface EdgeClient {
  /** A broken connection is an outcome; rejects with `backend_unavailable` or `bad_request` for an answer that is none of an edge. */
  search(query: string, atMs: number): Promise<SearchOutcome>;
  /** Follows a `clickUrl` up to the redirect; the click id for the landing page, or `undefined` when it was refused. */
  click(clickUrl: string, atMs: number): Promise<string | undefined>;
  /** Reports a purchase; whether it was accepted. */
  convert(conversion: Conversion, atMs: number): Promise<boolean>;
}

export interface Conversion {
  readonly clickId: string;
  readonly orderId: string;
  readonly valueMicros: number;
}

export interface Browser {
  readonly edge: string;
  readonly fetch: typeof fetch;
  readonly person: Pick<Person, 'market' | 'device' | 'kind'>;
}

/** An answer of `GET /v1/ads`, or why there is none. */
export type SearchOutcome =
  | { readonly status: 200; readonly answer: AdsResponse }
  /** Status 0: no answer came at all. */
  | { readonly status: number; readonly answer?: undefined };

const TIMEOUT_MS = 15_000;
const CRAWLER = 'harness-marketplace-bot/1';
const USER_AGENTS: Readonly<Record<Device, string>> = {
  desktop: 'Mozilla/5.0 (X11; Linux x86_64) harness-marketplace/1',
  mobile: 'Mozilla/5.0 (Linux; Android 16) Mobile harness-marketplace/1',
  tablet: 'Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) harness-marketplace/1',
};

function answerOf(body: string, edge: string): AdsResponse {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new HarnessError('backend_unavailable', `GET /v1/ads: expected the edge at ${edge}, got no JSON.`, { cause });
  }
  return parse(AdsResponse, value, 'GET /v1/ads');
}

/** Holds the cookies that the edge sets, so that all searches of a person are one unit; crawlers that say so keep none. */
export class Visitor implements EdgeClient {
  readonly #browser: Browser;
  readonly #cookies = new Map<string, string>();

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  async search(query: string): Promise<SearchOutcome> {
    const parameters = new URLSearchParams({ q: query, market: this.#browser.person.market, locale: 'en' });
    const response = await this.#request(`/v1/ads?${parameters}`);
    if (!response) return { status: 0 };
    const body = await response.text().catch(() => undefined);
    if (body === undefined) return { status: 0 };
    if (response.status !== 200) return { status: response.status };
    return { status: 200, answer: answerOf(body, this.#browser.edge) };
  }

  async click(clickUrl: string): Promise<string | undefined> {
    const response = await this.#request(clickUrl);
    await response?.body?.cancel();
    const location = response?.status === 302 ? response.headers.get('location') : null;
    return location === null ? undefined : (new URL(location).searchParams.get(CLICK_ID_PARAMETER) ?? undefined);
  }

  async convert(conversion: Conversion): Promise<boolean> {
    const response = await this.#request('/v1/conversions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(conversion),
    });
    await response?.body?.cancel();
    return response?.status === 202;
  }

  async #request(path: string, init: RequestInit = {}): Promise<Response | undefined> {
    const headers = new Headers(init.headers);
    const { device, kind } = this.#browser.person;
    headers.set('user-agent', kind === 'crawler' ? CRAWLER : USER_AGENTS[device]);
    if (this.#cookies.size > 0) {
      headers.set('cookie', [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '));
    }
    try {
      const response = await this.#browser.fetch(new URL(path, this.#browser.edge), {
        ...init,
        headers,
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (kind !== 'crawler') for (const cookie of response.headers.getSetCookie()) this.#store(cookie);
      return response;
    } catch {
      // The caller counts it; while the system is stopped on purpose this is no news.
      return undefined;
    }
  }

  #store(setCookie: string): void {
    const pair = setCookie.split(';', 1)[0] ?? '';
    const at = pair.indexOf('=');
    if (at > 0) this.#cookies.set(pair.slice(0, at).trim(), pair.slice(at + 1).trim());
  }
}
