/** One person's browser against the edge: searches with a cookie jar, follows ads without leaving, reports purchases. */
import { AdsResponse } from '../shared/contract/ads.ts';
import { CLICK_ID_PARAMETER } from '../shared/contract/events.ts';

export interface Browser {
  readonly edge: string;
  readonly fetch: typeof fetch;
}

/** An answer of `GET /v1/ads`, or why there is none. */
export type SearchOutcome =
  | { readonly status: 200; readonly answer: AdsResponse }
  /** Status 0: no answer came at all. */
  | { readonly status: number; readonly answer?: undefined };

const USER_AGENT = 'harness-marketplace/1';

/** Holds the cookies that the edge sets, so that all searches of a person are one unit. */
export class Visitor {
  readonly #browser: Browser;
  readonly #cookies = new Map<string, string>();

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** `GET /v1/ads`. Never throws: a broken connection is an outcome. */
  async search(query: string, market: string): Promise<SearchOutcome> {
    const parameters = new URLSearchParams({ q: query, market, locale: 'en' });
    const response = await this.#request(`/v1/ads?${parameters}`);
    if (!response) return { status: 0 };
    const body = await response.text().catch(() => '');
    if (response.status !== 200) return { status: response.status };
    return { status: 200, answer: AdsResponse.parse(JSON.parse(body)) };
  }

  /** Follows a `clickUrl` up to the redirect; the click id for the landing page, or `undefined` when it was refused. */
  async click(clickUrl: string): Promise<string | undefined> {
    const response = await this.#request(clickUrl);
    await response?.body?.cancel();
    const location = response?.status === 302 ? response.headers.get('location') : null;
    return location === null ? undefined : (new URL(location).searchParams.get(CLICK_ID_PARAMETER) ?? undefined);
  }

  /** `POST /v1/conversions`; whether it was accepted. */
  async convert(conversion: { clickId: string; orderId: string; valueMicros: number }): Promise<boolean> {
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
    headers.set('user-agent', USER_AGENT);
    if (this.#cookies.size > 0) {
      headers.set('cookie', [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '));
    }
    try {
      const response = await this.#browser.fetch(new URL(path, this.#browser.edge), {
        ...init,
        headers,
        redirect: 'manual',
      });
      for (const cookie of response.headers.getSetCookie()) this.#store(cookie);
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
