/** `POST /v1/embeddings` on a running service, asked by OpenAI's own client. */
import OpenAI, { APIError } from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import type { JsonText } from '../../../gpu-backend/http/endpoint.ts';
import { embeddingsRoutes } from '../../../gpu-backend/http/routes-embeddings.ts';
import { EmbeddingsRequest, EmbeddingsResponse } from '../../../shared/contract/embeddings.ts';
import { Problem } from '../../../shared/problem.ts';
import { call } from '../../setup/backend.ts';
import { useBackend } from '../../setup/hooks.ts';

const API_KEY = 'sk-0123456789abcdef';
const MODEL = 'tiny-1';
const backend = useBackend({
  market: false,
  bundle: { cutDimensions: [16] },
  environment: { HARNESS_API_KEYS: `other:${'x'.repeat(16)},shop:${API_KEY}` },
});
let openai: OpenAI;
const client = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${backend.url}/v1`, maxRetries: 0 });
beforeAll(() => {
  openai = client(API_KEY);
});

/** What the client throws for a request. */
const refusal = async (ask: () => Promise<unknown>): Promise<APIError> => {
  const error = await ask().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(APIError);
  return error as APIError;
};
const length = (vector: readonly number[]) => Math.hypot(...vector);

describe("OpenAI's client", () => {
  test('gets unit vectors in the order of its texts, by default and as floats', async () => {
    const input = ['Red  SOFA', 'couch', 'red sofa'];
    const asDefault = await openai.embeddings.create({ model: MODEL, input });
    const asFloats = await openai.embeddings.create({ model: MODEL, input, encoding_format: 'float' });
    expect(asFloats.data.map(({ index, object }) => [index, object])).toEqual([
      [0, 'embedding'],
      [1, 'embedding'],
      [2, 'embedding'],
    ]);
    expect([asFloats.object, asFloats.model]).toEqual(['list', MODEL]);
    for (const [i, { embedding }] of asFloats.data.entries()) {
      expect(embedding).toHaveLength(32);
      expect(length(embedding)).toBeCloseTo(1, 5);
      // The client asks for base64 by default and unpacks it: the same float32 either way.
      expect([...asDefault.data[i]!.embedding]).toEqual(embedding);
    }
    expect(asFloats.data[0]!.embedding).toEqual(asFloats.data[2]!.embedding); // one normalized query
    expect(EmbeddingsResponse.parse(asFloats)).toEqual(asFloats);
  });

  test('gets base64 as it is when it asks for it', async () => {
    const { data } = await openai.embeddings.create({ model: MODEL, input: 'couch', encoding_format: 'base64' });
    const bytes = Buffer.from(data[0]!.embedding as unknown as string, 'base64');
    expect(bytes).toHaveLength(32 * 4);
    const floats = Float32Array.from({ length: 32 }, (_, i) => bytes.readFloatLE(4 * i));
    expect(length([...floats])).toBeCloseTo(1, 5);
  });

  test('is told how many tokens were read: those of each text with its two ends', async () => {
    const usage = async (input: string | string[]) => (await openai.embeddings.create({ model: MODEL, input })).usage;
    expect(await usage('red sofa')).toEqual({ prompt_tokens: 4, total_tokens: 4 });
    expect(await usage(['red sofa', 'couch', 'red sofa'])).toEqual({ prompt_tokens: 11, total_tokens: 11 });
    expect(await usage('red '.repeat(5_000))).toEqual({ prompt_tokens: 32, total_tokens: 32 });
  });

  test('gets vectors of the length that the bundle allows to cut to, at unit length', async () => {
    const [whole, cut, own] = await Promise.all(
      [undefined, 16, 32].map(async (dimensions) => {
        const answer = await openai.embeddings.create({
          model: MODEL,
          input: 'red sofa',
          encoding_format: 'float',
          ...(dimensions === undefined ? {} : { dimensions }),
        });
        return answer.data[0]!.embedding;
      }),
    );
    expect(own).toEqual(whole);
    const head = whole!.slice(0, 16);
    for (const [i, value] of cut!.entries()) expect(value).toBeCloseTo(head[i]! / length(head), 6);
    expect(cut).toHaveLength(16);
  });

  test.each([
    ['a length that it may not be cut to', { input: 'x', dimensions: 7 }, 'dimensions: expected 32 or 16, got 7.'],
    ['token ids', { input: [1, 2, 3] }, 'send the strings'],
    ['several rows of token ids', { input: [[1, 2], [3]] }, 'send the strings'],
    ['an empty text', { input: ['sofa', ''] }, 'body.input.1: Too small: expected string to have >=1 characters'],
    ['no texts', { input: [] }, 'body.input: Too small: expected array to have >=1 items'],
    ['too many texts', { input: Array(2_049).fill('x') }, 'body.input: expected a string or 1 to 2048 strings'],
    ['an unknown format', { input: 'x', encoding_format: 'hex' }, 'body.encoding_format'],
  ])('is told in one line what is wrong with %s', async (_what, body, message) => {
    const error = await refusal(() => openai.embeddings.create({ model: MODEL, ...body } as never));
    expect([error.status, error.code, error.type]).toEqual([400, 'bad_request', 'invalid_request_error']);
    expect(error.message).toContain(message);
  });

  test('is refused with another key, and its key opens nothing else', async () => {
    const error = await refusal(() => client('sk-another').embeddings.create({ model: MODEL, input: 'x' }));
    expect([error.status, error.code]).toEqual([401, 'unauthorized']);
    expect(error.message).toContain('expected a secret of HARNESS_API_KEYS, got another');
    const headers = { authorization: `Bearer ${API_KEY}` };
    expect((await call(backend.url, 'GET /v1/config', { unsigned: true, headers })).status).toBe(401);
  });

  test('gets a vector for whatever a string can hold', async () => {
    const input = [
      ' ',
      '\u0000',
      '\ud800',
      '💥👩‍👩‍👧',
      '\u202e\ufeff',
      'ﷺ'.repeat(9_000),
      '的'.repeat(3_000),
      'e\u0301'.repeat(50),
    ];
    const { data } = await openai.embeddings.create({ model: MODEL, input, encoding_format: 'float' });
    expect(data).toHaveLength(input.length);
    for (const { embedding } of data) expect(length(embedding)).toBeCloseTo(1, 4);
  });
});

test('a signed call is as good as a key, and its problem is one for both kinds of callers', async () => {
  const { status, body } = await call(backend.url, 'POST /v1/embeddings', { body: { input: ['red sofa'] } });
  expect([status, EmbeddingsResponse.parse(body).data.length]).toEqual([200, 1]);
  const wrong = await call(backend.url, 'POST /v1/embeddings', { body: { input: 7 } });
  const { detail, code } = Problem.parse(wrong.body);
  expect(wrong.body.error).toEqual({ message: detail, type: 'invalid_request_error', param: null, code });
});

test('an answer names the model that made its vectors, also where that took over while the texts were read', async () => {
  let model = 'before';
  let asked: string | undefined;
  const encoder = {
    dimension: 2,
    cutDimensions: [],
    get model() {
      return model;
    },
    async encode(texts: readonly string[]) {
      asked = model;
      return { vectors: texts.map(() => Float32Array.of(1, 0)), tokens: texts.map(() => 1) };
    },
  };
  const [{ handle }] = embeddingsRoutes({ encoder }) as [ReturnType<typeof embeddingsRoutes>[number]];
  // Marks that have to be put in order: long enough to read for others to get a turn.
  const slow = `a${'\u0301'.repeat(4_096)}${'\u0323'.repeat(4_095)}`;
  const body = EmbeddingsRequest.parse({ input: [slow, slow, slow] });
  setImmediate(() => {
    model = 'after';
  });
  const answer = await handle({ body, signal: new AbortController().signal } as never);
  expect(JSON.parse((answer as JsonText).text).model).toBe(asked);
});
