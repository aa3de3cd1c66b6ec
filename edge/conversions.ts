/** `POST /v1/conversions`: what came of a click, reported by the landing site with the click id it was handed. */
import { Hono } from 'hono';
import { ConversionRequest } from '../shared/contract/events.ts';
import { sha256Hex } from '../shared/digest.ts';
import { HarnessError, parse } from '../shared/problem.ts';
import { verifyToken } from '../shared/signature.ts';
import { CLICK_ID } from './click.ts';
import type { EdgeContext, Isolate } from './isolate.ts';

const MAX_BODY_BYTES = 4_096;

/** The body as text; throws `payload_too_large` as soon as it is, and `bad_request` when it breaks off. */
async function readText(request: Request): Promise<string> {
  const tooLarge = () => new HarnessError('payload_too_large', `Expected a body of at most ${MAX_BODY_BYTES} bytes.`);
  if (Number(request.headers.get('content-length')) > MAX_BODY_BYTES) throw tooLarge();
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const chunk = await reader?.read().catch(() => {
      throw new HarnessError('bad_request', 'body: expected it whole, got a part of it');
    });
    if (chunk === undefined || chunk.done) return text + decoder.decode();
    bytes += chunk.value.byteLength;
    if (bytes > MAX_BODY_BYTES) throw tooLarge();
    text += decoder.decode(chunk.value, { stream: true });
  }
}

async function readBody(request: Request): Promise<ConversionRequest> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    const got = JSON.stringify(type.slice(0, 100));
    throw new HarnessError('unsupported_media_type', `Expected content-type application/json, got ${got}.`);
  }
  const text = await readText(request);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new HarnessError('bad_request', 'body: expected JSON');
  }
  return parse(ConversionRequest, body, 'body');
}

export const conversionsRoute = (isolate: Pick<Isolate, 'settings' | 'clock' | 'events'>) =>
  new Hono<EdgeContext>().post('/v1/conversions', async (c) => {
    const { settings, clock, events } = isolate;
    const { clickId: token, orderId, valueMicros } = await readBody(c.req.raw);
    const clickId = await verifyToken(settings.keys, CLICK_ID, token);
    // One order of one click is one conversion, however often it is reported; the order's own number stays with the shop.
    const id = `${clickId}:${(await sha256Hex(orderId)).slice(0, 16)}`;
    const safe = await events.log({ type: 'conversion', id, atMs: clock.now(), clickId, valueMicros }, (work) =>
      c.executionCtx.waitUntil(work),
    );
    // A shop can report again, and one id counts once: so nothing is promised that is only likely.
    if (safe !== true) {
      const message = 'The conversion is not known to be stored; send it again.';
      throw new HarnessError('backend_unavailable', message, { retryAfterSeconds: 5 });
    }
    c.header('cache-control', 'no-store');
    return c.json({ id }, 202);
  });
