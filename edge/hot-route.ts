/**
 * `GET /v1/ads` by itself. Nearly all requests are for it, and an answer from memory would spend a tenth of its time in
 * router and middleware; so it bypasses them, with the same rate limit, headers and problems. Everything else goes
 * through the application.
 */
import { answerAds } from './ads.ts';
import type { Isolate } from './isolate.ts';
import { limitRate } from './rate-limit.ts';
import { pathStart } from './request-url.ts';
import { secured } from './security-headers.ts';

const PATH = '/v1/ads';

/** Whether a URL has exactly this path; another spelling of it is the router's business. */
export function isAds(url: string): boolean {
  const from = pathStart(url);
  const to = from + PATH.length;
  return url.startsWith(PATH, from) && (to === url.length || url[to] === '?');
}

export interface HotRouteOptions {
  waitUntil: (work: Promise<unknown>) => void;
  /** The answer to what went wrong. */
  refuse: (error: unknown, requestId: string) => Response;
}

export async function hotRoute(
  isolate: Isolate,
  request: Request,
  { waitUntil, refuse }: HotRouteOptions,
): Promise<Response> {
  const requestId = isolate.clock.newId();
  try {
    await limitRate(isolate, request.headers);
    return await answerAds(isolate, request, { requestId, waitUntil });
  } catch (error) {
    return secured(refuse(error, requestId));
  }
}
