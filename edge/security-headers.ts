/** The headers that every answer has, whatever it is: OWASP's set for an API. */
import { createMiddleware } from 'hono/factory';
import type { EdgeContext } from './isolate.ts';

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
};

/** Adds them to an answer; what needs less strict ones has set its own. */
export function secured(response: Response): Response {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
}

/** Adds them to the answers of the application. */
export const secureHeaders = createMiddleware<EdgeContext>(async (c, next) => {
  await next();
  secured(c.res);
});

/**
 * Headers of a route's answers with these among them, made once and copied for each: to read an object of strings for every answer takes
 * three times as long.
 */
export const headersOf = (own: Readonly<Record<string, string>>): Headers =>
  new Headers({ ...SECURITY_HEADERS, ...own });
