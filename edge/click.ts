/**
 * Click tokens and the redirect: `GET /v1/click/:token` counts a click and goes to the ad. Where it goes is in the signed
 * token alone, so there is no open redirect; the event's id is `impression:position`, so a replay redirects and counts once.
 */
import { Hono } from 'hono';
import { CLICK_ID_PARAMETER, CLICK_TOKEN, ClickToken } from '../shared/contract/events.ts';
import { HarnessError } from '../shared/problem.ts';
import { type KeyRing, signToken, type TokenTail, tokenHead, tokenTail, verifyToken } from '../shared/signature.ts';
import { isBot } from './identity.ts';
import type { EdgeContext, Isolate } from './isolate.ts';

/** How long a click on an answer counts. */
export const CLICK_VALID_SECONDS = 24 * 3_600;
/** Purpose of the token that the landing page receives, and that a conversion brings back. */
export const CLICK_ID = 'click-id';

/** `impression:position`, the id of a click. */
const clickIdOf = (impressionId: string, position: number) => `${impressionId}:${position}`;

/** Signs the tokens of one slot, whoever it is shown to: only {@link clickTail} differs. */
export function clickSigner(
  keys: KeyRing,
  { d, a, p, c }: Pick<ClickToken, 'd' | 'a' | 'p' | 'c'>,
): (tail: TokenTail) => string {
  return tokenHead(keys, CLICK_TOKEN, JSON.stringify({ d, a, p, c }).slice(0, -1));
}

/** The part of the tokens of all slots of a page: the impression's id, when they expire, and whether they are of an override. */
export const clickTail = ({ i, x, q }: Pick<ClickToken, 'i' | 'x' | 'q'>): TokenTail =>
  tokenTail(`,${JSON.stringify({ i, x, q }).slice(1)}`);

/** What a token says; throws `invalid_token` for anything that this service did not sign as one. */
export async function readClick(keys: KeyRing, token: string): Promise<ClickToken> {
  const payload = await verifyToken(keys, CLICK_TOKEN, token);
  const result = ClickToken.safeParse(JSON.parse(payload));
  if (result.success) return result.data;
  throw new HarnessError('invalid_token', 'This click token is of a version that is no longer read.');
}

/**
 * The landing URL with the signed click id appended, replacing one that it may have brought. As text: `URLSearchParams`
 * would rewrite the whole query, and an address that its shop has signed, or reads strictly, would lead nowhere.
 */
async function landing(keys: KeyRing, { i, p, d }: ClickToken): Promise<string> {
  const url = new URL(d);
  const own = url.search
    .slice(1)
    .split('&')
    .filter((pair) => pair !== '' && !pair.startsWith(`${CLICK_ID_PARAMETER}=`));
  url.search = [...own, `${CLICK_ID_PARAMETER}=${await signToken(keys, CLICK_ID, clickIdOf(i, p))}`].join('&');
  return url.href;
}

/** A look ahead by a browser or a link checker is no click. */
const isPrefetch = (request: Request) =>
  request.method === 'HEAD' || /prefetch|prerender/i.test(request.headers.get('sec-purpose') ?? '');

export const clickRoute = (isolate: Pick<Isolate, 'settings' | 'clock' | 'events'>) =>
  new Hono<EdgeContext>().get('/v1/click/:token', async (c) => {
    const { settings, clock, events } = isolate;
    const token = await readClick(settings.keys, c.req.param('token'));
    const nowMs = clock.now();
    // A stale page still leads people where they want to go; it just costs the advertiser nothing.
    const expired = token.x * 1_000 <= nowMs;
    if (!expired && !isPrefetch(c.req.raw)) {
      await events.log(
        {
          type: 'click',
          id: clickIdOf(token.i, token.p),
          atMs: nowMs,
          impressionId: token.i,
          adId: token.a,
          position: token.p,
          chargeMicros: token.q === undefined ? token.c : 0,
          bot: isBot(c.req.raw.headers.get('user-agent')),
        },
        (work) => c.executionCtx.waitUntil(work),
      );
    }
    c.header('cache-control', 'private, no-store');
    return c.redirect(await landing(settings.keys, token), 302);
  });
