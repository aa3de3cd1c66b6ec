/** `POST /v1/conversions`: what came of a click, reported by the landing site with the click id it was handed. */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { ConversionRequest } from '../shared/contract/events.ts';
import { sha256Hex } from '../shared/digest.ts';
import { HarnessError, parse } from '../shared/problem.ts';
import { verifyToken } from '../shared/signature.ts';
import { CLICK_ID } from './click.ts';
import type { EdgeContext, Isolate } from './isolate.ts';

const MAX_BODY_BYTES = 4_096;

async function readBody(request: Request): Promise<ConversionRequest> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new HarnessError(
      'unsupported_media_type',
      `Expected content-type application/json, got ${JSON.stringify(type.slice(0, 100))}.`,
    );
  }
  let body: unknown;
  try {
    body = JSON.parse(await request.text());
  } catch {
    throw new HarnessError('bad_request', 'body: expected JSON');
  }
  return parse(ConversionRequest, body, 'body');
}

export const conversionsRoute = (isolate: Isolate) =>
  new Hono<EdgeContext>().post(
    '/v1/conversions',
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: () => {
        throw new HarnessError('payload_too_large', `Expected a body of at most ${MAX_BODY_BYTES} bytes.`);
      },
    }),
    async (c) => {
      const { settings, clock, events } = isolate;
      const { clickId: token, orderId, valueMicros } = await readBody(c.req.raw);
      const clickId = await verifyToken(settings.keys, CLICK_ID, token);
      // One order of one click is one conversion, however often it is reported; the order's own number stays with the shop.
      const id = `${clickId}:${(await sha256Hex(orderId)).slice(0, 16)}`;
      const safe = await events.log({ type: 'conversion', id, atMs: clock.now(), clickId, valueMicros }, (work) =>
        c.executionCtx.waitUntil(work),
      );
      if (safe === false) {
        throw new HarnessError('backend_unavailable', 'The conversion could not be stored; send it again.', {
          retryAfterSeconds: 5,
        });
      }
      return c.json({ id }, 202);
    },
  );
