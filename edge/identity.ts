/**
 * Who is asking, without knowing who: a random first-party id in a signed cookie. Outside this file there is only its
 * keyed hash, the unit id, which cannot be turned back into the cookie. Without consent every request is a unit of its own.
 */
import type { LRUCache } from 'lru-cache';
import { toBase64Url } from '../shared/digest.ts';
import { HarnessError } from '../shared/problem.ts';
import { hmac, type KeyRing, signToken, verifyToken } from '../shared/signature.ts';

/** The `__Host-` prefix binds the cookie to this very host, over https. */
export const UNIT_COOKIE = '__Host-harness-unit';
/** Set by the site's own consent banner: `granted` or `denied`. */
const CONSENT_COOKIE = 'harness-consent';
const PURPOSE = 'unit';
const ONE_YEAR_SECONDS = 31_536_000;

export interface Unit {
  /** Keyed hash of the first-party id: 22 characters of base64url. */
  unitId: string;
  /** Says so itself; counted, and left out of analyses. */
  bot: boolean;
  /** Whether anything may be kept in the visitor's browser. */
  consent: boolean;
  /** `Set-Cookie` for a visitor who brought no valid one and consents. */
  setCookie: string | undefined;
}

/**
 * Programs that fetch pages by themselves and say so in their user agent. Libraries that a site's own server may call us
 * with (node, okhttp, Go-http-client) are no bots, and neither are the telephones named Cubot.
 */
const BOT =
  /(?<!cu)bot\b|bot[/;_-]|crawl|spider|slurp|archiver|scrapy|headless|phantomjs|lighthouse|pingdom|uptime|facebookexternalhit|embedly|preview|feedfetcher|mediapartners|python-requests|python-urllib|\bcurl\/|\bwget\//i;

/** Whether a user agent names a crawler or another program that nobody looks through. */
export function isBot(userAgent: string | null): boolean {
  return userAgent !== null && BOT.test(userAgent);
}

/** The value of a cookie; `undefined` when there is none. */
export function readCookie(header: string | null, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

const setCookie = (name: string, value: string, maxAgeSeconds: number) =>
  `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}`;

/** `Set-Cookie` of what a visitor who consents is to keep. */
export const kept = (name: string, value: string): string => setCookie(name, value, ONE_YEAR_SECONDS);

/** `Set-Cookie`s by which a visitor who does not consent any more forgets those of the cookies that came with the request. */
export const takenBack = (header: string | null, names: readonly string[]): string[] =>
  names.filter((name) => readCookie(header, name) !== undefined).map((name) => setCookie(name, '', 0));

/** What a visitor says and a site assumes of consent. */
interface Said {
  /** `Sec-GPC`. */
  gpc: string | null;
  /** `Cookie`. */
  cookies: string | null;
  policy: 'assumed' | 'required';
}

/** What the visitor said: the browser's Global Privacy Control, then the banner's cookie, then the site's policy. */
function hasConsent({ gpc, cookies, policy }: Said): boolean {
  if (gpc === '1') return false;
  const said = readCookie(cookies, CONSENT_COOKIE);
  return policy === 'required' ? said === 'granted' : said !== 'denied';
}

export interface IdentifyOptions {
  keys: KeyRing;
  newId: () => string;
  /** Whether a visitor who has said nothing consents. */
  policy: 'assumed' | 'required';
  /** Unit ids of cookies that verified under these keys, so that a visitor's next requests need no signature. */
  known?: LRUCache<string, string> | undefined;
}

/** The unit of a request; a visitor whose cookie is missing or does not verify is a new one, and so is each request without consent. */
export async function identify(headers: Headers, { keys, newId, policy, known }: IdentifyOptions): Promise<Unit> {
  const bot = isBot(headers.get('user-agent'));
  const cookies = headers.get('cookie');
  const consent = hasConsent({ gpc: headers.get('sec-gpc'), cookies, policy });
  const cookie = consent ? readCookie(cookies, UNIT_COOKIE) : undefined;
  const remembered = cookie === undefined ? undefined : known?.get(cookie);
  if (remembered !== undefined) return { unitId: remembered, bot, consent, setCookie: undefined };
  const id = cookie === undefined ? undefined : await readUnitToken(keys, cookie);
  if (cookie !== undefined && id !== undefined) {
    const unitId = await unitIdOf(keys, cookie, id);
    known?.set(cookie, unitId);
    return { unitId, bot, consent, setCookie: undefined };
  }
  const newUnit = newId();
  const token = await signToken(keys, PURPOSE, newUnit);
  return {
    unitId: await unitIdOf(keys, token, newUnit),
    bot,
    consent,
    setCookie: consent ? kept(UNIT_COOKIE, token) : undefined,
  };
}

async function readUnitToken(keys: KeyRing, token: string): Promise<string | undefined> {
  try {
    return await verifyToken(keys, PURPOSE, token);
  } catch (error) {
    if (error instanceof HarnessError && error.code === 'invalid_token') return undefined;
    throw error;
  }
}

/** Hashed under the key that signed the cookie, so that a new signing key moves nobody to another arm. */
async function unitIdOf(keys: KeyRing, token: string, id: string): Promise<string> {
  const keyId = token.slice(0, token.indexOf('.'));
  const key = keys.find((candidate) => candidate.id === keyId) ?? keys[0]!;
  return toBase64Url(await hmac([key], `unit-id\n${id}`)).slice(0, 22);
}
