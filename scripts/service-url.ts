/** Addresses of running services, as the command lines are given them. */
import { HarnessError } from '../shared/problem.ts';

/**
 * The address that an option or variable holds; throws a `bad_request` that names it for what is not an http or https
 * URL, such as one without `http://`.
 */
export function serviceUrl(option: string, text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new HarnessError('bad_request', `${option}: expected a URL such as http://127.0.0.1:8788, got ${text}.`);
  return url;
}
