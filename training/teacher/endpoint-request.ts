/**
 * One call of an OpenAI-compatible `/v1/embeddings`: sent, repeated while that can help, and its answer checked.
 * Waiting follows RFC 9110, section 10.2.3 (`Retry-After`), or exponential backoff with full jitter where the server
 * says nothing.
 */
import ky, { HTTPError, NetworkError, type RetryOptions, TimeoutError } from 'ky';
import { z } from 'zod';
import { HarnessError } from '../../shared/problem.ts';

export interface RequestSettings {
  /** The address as OpenAI's own clients take it, such as https://api.openai.com/v1. */
  readonly url: string;
  readonly model: string;
  /** Length of the vectors to ask for, where the model can give several. */
  readonly dimensions?: number | undefined;
  /** How vectors travel; base64 is a quarter of the bytes, and not every server has it. */
  readonly encodingFormat: 'float' | 'base64';
  /** The environment variable that holds the API key; without it no key is sent. */
  readonly apiKeyVariable?: string | undefined;
  /** Attempts after the first. */
  readonly retries: number;
  /** Length of the first wait on average; each further one is twice as long, up to `longestBackoffMs`. Where the server says when, it decides. */
  readonly backoffMs: number;
  readonly longestBackoffMs: number;
  /** Time for one attempt, its body included. */
  readonly attemptTimeoutMs: number;
  /** Time for one request in all, attempts and waits together. */
  readonly deadlineMs: number;
}

/** Vectors of texts, in their order, each of finite numbers that are not all 0. */
export type RequestEmbeddings = (texts: readonly string[]) => Promise<Float32Array[]>;

/** What may pass by itself: time-outs, rate limits, and every fault of the server. */
const PASSING = [408, 425, 429, ...Array.from({ length: 100 }, (_, i) => 500 + i)];

/** Characters of a server's own words in a message. */
const LONGEST_REASON = 400;

const Answer = z.object({
  data: z.array(z.object({ index: z.int(), embedding: z.union([z.array(z.number()), z.base64()]) })),
});
const Complaint = z.object({
  error: z
    .union([z.string(), z.object({ message: z.string() })])
    .optional()
    .catch(undefined),
  detail: z.string().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
});

/** Where the embeddings are asked for. */
export function embeddingsUrl({ url }: Pick<RequestSettings, 'url'>): URL {
  let address: URL;
  try {
    address = new URL(url);
  } catch (cause) {
    throw new HarnessError(
      'configuration',
      `teacher endpoint: expected an address such as https://host/v1, received '${url}'.`,
      { cause },
    );
  }
  address.pathname = `${address.pathname.replace(/\/+$/, '').replace(/\/embeddings$/, '')}/embeddings`;
  return address;
}

/** The address as it may be shown: without what may be secret. */
export const shownUrl = ({ origin, pathname }: URL): string => origin + pathname;

/** The body belongs to the attempt: a connection that drops in its middle is tried again, and a slow one runs out of time. */
const fetchWhole: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  return response.ok && response.body ? new Response(await response.arrayBuffer(), response) : response;
};

/** @throws HarnessError where the address is none, or the variable of the key is not set. */
export function embeddingRequests(
  settings: RequestSettings,
  env: Readonly<Record<string, string | undefined>>,
): RequestEmbeddings {
  const { model, dimensions, encodingFormat, retries, backoffMs, longestBackoffMs } = settings;
  const address = embeddingsUrl(settings);
  const key = apiKey(settings, env);
  const client = ky.create({
    fetch: fetchWhole,
    ...(key ? { headers: { authorization: `Bearer ${key}` } } : {}),
    timeout: settings.attemptTimeoutMs,
    totalTimeout: settings.deadlineMs,
  });
  const retry = {
    limit: retries,
    methods: ['post'],
    statusCodes: PASSING,
    afterStatusCodes: PASSING,
    retryOnTimeout: true,
    delay: (attempt) => backoffMs * 2 ** attempt,
    backoffLimit: longestBackoffMs,
    jitter: true,
  } satisfies RetryOptions;
  const fail = ([code, why]: Failure): never => {
    const line = (key ? why.replaceAll(key, '[key]') : why).replaceAll(/\s+/g, ' ').slice(0, LONGEST_REASON);
    // What ky throws holds the request, key and all: it is not kept as a cause.
    throw new HarnessError(code, `${shownUrl(address)}: ${line}`);
  };

  return async (texts) => {
    let last = 'none was answered';
    const json = {
      model,
      input: texts,
      encoding_format: encodingFormat,
      ...(dimensions === undefined ? {} : { dimensions }),
    };
    const shouldRetry = ({ error }: { error: Error }) => {
      last = spoken(error);
      return undefined;
    };
    const answer = await client
      .post(address, { json, retry: { ...retry, shouldRetry } })
      .json()
      .catch((error: unknown) => fail(failure(error, settings, last)));
    const vectors = checked(answer, texts.length);
    return typeof vectors === 'string' ? fail(['configuration', vectors]) : vectors;
  };
}

/** The key to send, if any. Its own text never enters a message. */
function apiKey(
  { url, apiKeyVariable }: RequestSettings,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (apiKeyVariable === undefined) return undefined;
  const key = env[apiKeyVariable]?.trim();
  if (key && /^[\x21-\x7e]+$/.test(key)) return key;
  throw new HarnessError(
    'configuration',
    `${shownUrl(embeddingsUrl({ url }))}: expected an API key in the environment variable ${apiKeyVariable}, found ${key ? 'characters that no header can carry' : 'none'}.`,
  );
}

type Failure = readonly [code: 'configuration' | 'backend_unavailable' | 'deadline_exceeded', why: string];

/** The end of a request that no attempt brought an answer to. */
function failure(error: unknown, settings: RequestSettings, last: string): Failure {
  const { retries, deadlineMs, apiKeyVariable } = settings;
  const why = spoken(error);
  if (error instanceof TimeoutError)
    return [
      'deadline_exceeded',
      `no answer within ${deadlineMs} ms and ${retries} retries; the attempt before: ${last}`,
    ];
  if (error instanceof NetworkError || (error instanceof HTTPError && PASSING.includes(error.response.status)))
    return ['backend_unavailable', `${why} (after ${retries} retries; the same command goes on from here)`];
  if (error instanceof HTTPError) {
    const keyless = apiKeyVariable === undefined ? 'no key is configured' : `the key is that in ${apiKeyVariable}`;
    return ['configuration', [401, 403].includes(error.response.status) ? `${why} (${keyless})` : why];
  }
  if (error instanceof SyntaxError) return ['configuration', 'expected JSON, received something else'];
  throw error;
}

/** What an attempt failed with, in words. */
function spoken(error: unknown): string {
  if (error instanceof HTTPError) {
    const { status, statusText } = error.response;
    const { data: body } = error as HTTPError<unknown>;
    const { data: complaint } = Complaint.safeParse(body);
    const { error: named, detail, message } = complaint ?? {};
    const text =
      (typeof named === 'string' ? named : named?.message) ??
      detail ??
      message ??
      (typeof body === 'string' ? body : '');
    return `${status} ${statusText}${text === '' ? '' : `: ${text}`}`;
  }
  if (error instanceof NetworkError) {
    const raw = error.cause as Error;
    return `${(raw.cause as Error | undefined)?.message || raw.message}`;
  }
  return error instanceof TimeoutError ? 'out of time' : String(error);
}

/** The vectors of an answer, in the order of its indices; or what is wrong with it. */
function checked(answer: unknown, count: number): Float32Array[] | string {
  const { data: parsed, error } = Answer.safeParse(answer);
  if (!parsed) return `unexpected answer: ${error.issues[0]!.path.join('.')}: ${error.issues[0]!.message}`;
  if (parsed.data.length !== count) return `expected ${count} vectors, received ${parsed.data.length}`;
  const vectors: Float32Array[] = [];
  for (const { index, embedding } of parsed.data) {
    if (index < 0 || index >= count || vectors[index])
      return `expected each index from 0 to ${count - 1} once, received ${index}`;
    const vector = typeof embedding === 'string' ? fromBase64(embedding) : Float32Array.from(embedding);
    if (!vector) return `vector ${index}: expected base64 of float32 numbers`;
    if (!vector.every(Number.isFinite)) return `vector ${index}: expected finite float32 numbers`;
    if (vector.every((value) => value === 0)) return `vector ${index}: expected a direction, received zeros`;
    vectors[index] = vector;
  }
  return vectors;
}

function fromBase64(text: string): Float32Array | undefined {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'));
  return bytes.length % Float32Array.BYTES_PER_ELEMENT === 0 ? new Float32Array(bytes.buffer) : undefined;
}
