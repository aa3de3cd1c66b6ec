/** What visitors with bad intentions, or none, send: query strings and headers, for the tests and for the benchmark of the edge. */
import fc from 'fast-check';

/** Parts of a query string: any text percent-encoded, what parsers trip over, and raw printable text. */
export const queryPiece = fc.oneof(
  fc
    .array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength: 40 })
    .map((points) => encodeURIComponent(String.fromCodePoint(...points).toWellFormed())),
  fc.constantFrom(
    ...['%', '%FF', '%00', '%C3%28', '&', '=', '+', '?', 'q=', '&n=', '&market=', '&locale=', '1e309', '-0'],
  ),
  fc.string({ maxLength: 20 }).map((text) => text.replaceAll('#', '')),
);

/** Headers that caches, proxies and frameworks have been poisoned by. */
const KNOWN = [
  ...['x-forwarded-host', 'x-forwarded-proto', 'x-host', 'x-original-url', 'x-rewrite-url', 'forwarded'],
  ...['x-http-method-override', 'accept', 'accept-encoding', 'accept-language', 'authorization', 'origin', 'referer'],
  ...['cache-control', 'pragma', 'range', 'if-none-match', 'if-modified-since', 'vary', 'harness-generation'],
  ...['harness-config-version', 'x-request-id', 'cf-ipcountry', 'user-agent', 'content-type', '__proto__'],
];
/** What they were poisoned with. */
const POISONS = ['evil.example', '0', '99999', 'no-cache', 'only-if-cached', 'bytes=0-1', '*', 'gb', 'https'];

/** Inputs that are documented: consent and identity. */
const DOCUMENTED = ['cookie', 'sec-gpc'];
const madeUp = fc.stringMatching(/^[a-z][a-z0-9-]{0,24}$/).filter((name) => !DOCUMENTED.includes(name));
const value = fc.oneof(
  fc.string({ maxLength: 30 }).map((text) => text.replaceAll(/[^ -~]/g, '').trim()),
  fc.constantFrom(...POISONS),
);

/** Up to eight headers, none of them a documented input. */
export const headers = fc.array(fc.tuple(fc.oneof(fc.constantFrom(...KNOWN), madeUp), value), { maxLength: 8 });

/** All that are known, each list with one value: what any of them does by itself is seen without luck. */
export const POISONED = POISONS.map((poison) => KNOWN.map((name): [name: string, value: string] => [name, poison]));
