/** A request's URL, read as text: a Host header may hold anything, and then it is no URL. */
import { HarnessError } from '../shared/problem.ts';

/** Where its path begins. */
export const pathStart = (url: string): number => url.indexOf('/', url.indexOf('//') + 2);

/** The origin that was read last: nearly all requests are sent to one. */
let read = { start: '', origin: '' };

/**
 * Where the visitor sent it. Behind proxies that append to `X-Forwarded-Proto`, workerd gives `https, http://host`: the first is
 * what the visitor's own connection was.
 */
export function originOf(url: string): string {
  const start = url.slice(0, pathStart(url));
  if (start === read.start) return read.origin;
  const origin = URL.parse(start.replace(/^(https?) *,[^:]*/i, '$1'))?.origin;
  if (!origin?.startsWith('http'))
    throw new HarnessError('bad_request', 'Host, X-Forwarded-Proto: expected a host name, and http or https');
  read = { start, origin };
  return origin;
}
