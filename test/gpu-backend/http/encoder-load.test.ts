/**
 * The encoder behind HTTP when there is more to do than it can: it says so, wastes nothing, and its counters are the clients'.
 * Queue, cache, routes and socket are the service's own; what computes is a lane that answers when it is told to.
 */
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Batcher } from '../../../gpu-backend/encoder/batcher.ts';
import { cachedEncoder } from '../../../gpu-backend/encoder/cached.ts';
import type { Encoder, EncoderStats } from '../../../gpu-backend/encoder/encoder.ts';
import type { Computed } from '../../../gpu-backend/encoder/lane.ts';
import { createApiKeys } from '../../../gpu-backend/http/api-keys.ts';
import { createApp } from '../../../gpu-backend/http/app.ts';
import { createAuthenticator } from '../../../gpu-backend/http/auth.ts';
import { createMetrics } from '../../../gpu-backend/http/metrics.ts';
import { embeddingsRoutes } from '../../../gpu-backend/http/routes-embeddings.ts';
import { operationsRoutes } from '../../../gpu-backend/http/routes-operations.ts';
import { type HttpServer, listen } from '../../../gpu-backend/http/server.ts';
import { gatedEncoder } from '../../fixtures/gated-encoder.ts';
import { absentEndpoints } from '../../setup/absent-endpoints.ts';

const QUEUE = 4;
const API_KEY = 'sk-0123456789abcdef';
let server: HttpServer;
let encoder: Encoder;
/** Batches that are being computed; calling one answers it. */
let batches: { texts: string[]; answer: () => void }[];
/** Set, a batch is answered as soon as it is there. */
let open: boolean;

beforeEach(async () => {
  batches = [];
  open = false;
  const [ahead, tokenBudget] = [0, 64];
  const batcher = new Batcher({ dimension: 1, maxQueued: QUEUE, tokenBudget, ahead, maxTokens: 64, now: Date.now });
  batcher.addLane((texts) => {
    const { promise, resolve } = Promise.withResolvers<Computed>();
    const vectors = Float32Array.from(texts, ({ length }) => length);
    const batch = { texts: texts.length, tookMs: 1 };
    const answer = () => resolve({ vectors, tokens: Int32Array.from(texts, () => 3), batch });
    if (open) setImmediate(answer);
    else batches.push({ texts, answer });
    return { computed: promise, withdraw: () => undefined };
  });
  const pool: Encoder = {
    ...gatedEncoder().encoder,
    encode: (texts, options) => batcher.encode(texts, options),
    stats: () => ({
      ...batcher.stats(),
      restarts: 0,
      fallbacks: 0,
      hits: 0,
      joined: 0,
      cachedTexts: 0,
      cachedBytes: 0,
    }),
    close: () => batcher.close(),
  };
  encoder = cachedEncoder(pool, { maxBytes: 1e6 });
  const metrics = createMetrics();
  const operations = operationsRoutes({ version: 'test', health: () => ({}), notReady: () => undefined, metrics });
  const app = createApp({
    endpoints: absentEndpoints([...embeddingsRoutes({ encoder }), ...operations]),
    auth: createAuthenticator({ keys: [], now: Date.now }),
    apiKeys: createApiKeys([{ id: 'test', secret: API_KEY }]),
    metrics,
    log: pino({ level: 'silent' }),
    news: () => ({}),
  });
  server = await listen({ host: '127.0.0.1', port: 0 });
  server.serve(app);
});
afterEach(async () => {
  open = true;
  for (const { answer } of batches) answer();
  await server.close(0);
});

const embed = (input: string | string[], signal?: AbortSignal) =>
  fetch(`${server.url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ input }),
    ...(signal === undefined ? {} : { signal }),
  });
/** Lets sockets and promises run until the encoder is as wanted. */
const until = async (holds: (now: EncoderStats) => boolean) => {
  while (!holds(encoder.stats())) await new Promise((resolve) => setImmediate(resolve));
};

test('a full queue refuses one text and many alike, whole, and says when to come back; health is told all the same', async () => {
  const running = embed('running');
  await until((now) => now.running === 1);
  const waiting = embed(['a', 'b', 'c', 'd']);
  await until(({ queued }) => queued === QUEUE);
  for (const input of ['one', ['one', 'two', 'three', 'four', 'five', 'six']]) {
    const refused = await embed(input);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([429, 'too_many_requests']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  }
  expect(encoder.stats()).toMatchObject({ refused: 2, queued: QUEUE, encoded: 0 });
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  open = true;
  batches[0]!.answer();
  expect([(await running).status, (await waiting).status]).toEqual([200, 200]);
  expect((await embed('later')).status).toBe(200);
});

test('what its caller no longer waits for is not computed', async () => {
  const running = embed('running');
  await until((now) => now.running === 1);
  const leaving = new AbortController();
  const gone = expect(embed(['left', 'behind'], leaving.signal)).rejects.toThrow('left');
  await until(({ queued }) => queued === 2);
  leaving.abort(new Error('left'));
  await gone;
  await until(({ cancelled }) => cancelled === 1);
  const next = embed('next');
  await until(({ queued }) => queued === 1);
  batches[0]!.answer();
  await until((now) => now.encoded === 1 && now.running === 1);
  batches[1]!.answer();
  expect([(await running).status, (await next).status]).toEqual([200, 200]);
  expect(batches.map(({ texts }) => texts)).toEqual([['running'], ['next']]);
});

test("the counters add up to the clients' own: each text was encoded, remembered or shared, each refusal told", async () => {
  open = true;
  const own = { texts: 0, refused: 0 };
  await Promise.all(
    Array.from({ length: 12 }, async (_, client) => {
      for (let i = 0; i < 25; i++) {
        const { status } = await embed(`text ${(7 * client + i * i) % 60}`);
        if (status === 200) own.texts++;
        else if (status === 429) own.refused++;
        else throw new Error(`answered with ${status}`);
      }
    }),
  );
  const { encoded, hits, joined, refused } = encoder.stats();
  expect(hits).toBeGreaterThan(0);
  expect({ texts: encoded + hits + joined, refused }).toEqual(own);
});
