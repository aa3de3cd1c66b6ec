/** The endpoint teacher against a server on a socket that limits, fails, hangs, answers wrongly, and counts what it was asked. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  batches,
  ENDPOINT_DEFAULTS,
  type EndpointSettings,
  endpointTeacher,
} from '../../../training/teacher/endpoint.ts';
import { EndpointCache } from '../../../training/teacher/endpoint-cache.ts';
import {
  type AskedRequest,
  answerJson,
  answerTo,
  type EmbeddingsServer,
  type EmbeddingsServerOptions,
  embeddingOf,
  startEmbeddingsServer,
} from '../../fixtures/embeddings-server.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { unit } from '../../fixtures/vectors.ts';
import { freePort } from '../../setup/free-port.ts';

const DIMENSION = 8;
const AN_HOUR = 3_600_000;
const folder = testFolder('endpoint');
let caches = 0;
const newCache = () => folder(`${caches++}`);

const servers: EmbeddingsServer[] = [];
async function serve(intercept?: EmbeddingsServerOptions['intercept']): Promise<EmbeddingsServer> {
  const server = await startEmbeddingsServer({ dimension: DIMENSION, ...(intercept ? { intercept } : {}) });
  servers.push(server);
  return server;
}
afterEach(async () => {
  vi.useRealTimers();
  for (const server of servers.splice(0)) await server.close();
});

/** From here on the caller's clock goes by turns of the loop, 20 ms each: while this machine stands still, no time passes. */
const countTime = () =>
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'], shouldAdvanceTime: true });

const settingsFor = (url: string, change: Partial<EndpointSettings> = {}): EndpointSettings => ({
  ...ENDPOINT_DEFAULTS,
  url,
  model: 'stand-in',
  dimensions: DIMENSION,
  backoffMs: 1,
  ...change,
});
interface Asking {
  readonly change?: Partial<EndpointSettings>;
  readonly cache?: string;
  readonly env?: Record<string, string>;
}
async function encode(url: string, texts: readonly string[], { change, cache = newCache(), env = {} }: Asking = {}) {
  const teacher = await endpointTeacher(settingsFor(url, change), { cache, env });
  try {
    return await teacher.encode(texts, { role: 'query' });
  } finally {
    await teacher.close();
  }
}
const TEXTS = Array.from({ length: 10 }, (_, i) => `text ${i}`);
const expected = (texts: readonly string[]) =>
  texts.flatMap((text) => [...unit(Float32Array.from(embeddingOf(text, DIMENSION)))]);
const close = (vectors: Float32Array, texts: readonly string[]) => {
  const known = expected(texts);
  expect(vectors).toHaveLength(known.length);
  known.forEach((value, i) => {
    expect(vectors[i]).toBeCloseTo(value, 5);
  });
};
/** Misbehaves on the first request only. */
const first =
  (misbehave: (response: ServerResponse, asked: AskedRequest) => void): EmbeddingsServerOptions['intercept'] =>
  (response, asked) => {
    if (asked.count > 1) return false;
    misbehave(response, asked);
    return true;
  };

describe('what is asked', () => {
  it('goes in batches, with model, dimensions, format and key', async () => {
    const server = await serve();
    const vectors = await encode(server.url, TEXTS, {
      change: { textsPerRequest: 4, apiKeyVariable: 'KEY_OF_TEST', encodingFormat: 'base64', queryPrefix: 'query: ' },
      env: { KEY_OF_TEST: 'sk-secret\n' },
    });
    const prompted = TEXTS.map((text) => `query: ${text}`);
    close(vectors, prompted);
    expect(server.texts().sort()).toEqual([...prompted].sort());
    expect(server.requests.map(({ body }) => body.input.length).sort()).toEqual([2, 4, 4]);
    for (const { path, headers, body } of server.requests) {
      expect(path).toBe('/v1/embeddings');
      expect(headers.authorization).toBe('Bearer sk-secret');
      expect(body).toMatchObject({ model: 'stand-in', dimensions: DIMENSION, encoding_format: 'base64' });
    }
  });

  it('names each text once, however often it is asked for', async () => {
    const server = await serve();
    const texts = ['b', 'a', 'b', 'c', 'a'];
    close(await encode(server.url, texts), texts);
    expect(server.texts()).toEqual(['b', 'a', 'c']);
  });

  it('is split by texts and by bytes, in order, nothing lost', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 30 })),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 60 }),
        (texts, textsPerRequest, bytesPerRequest) => {
          const made = [...batches(texts, { textsPerRequest, bytesPerRequest })];
          expect(made.flat()).toEqual(texts);
          for (const batch of made) {
            expect(batch.length).toBeGreaterThan(0);
            expect(batch.length).toBeLessThanOrEqual(textsPerRequest);
            if (batch.length > 1) expect(Buffer.byteLength(batch.join(''))).toBeLessThanOrEqual(bytesPerRequest);
          }
        },
      ),
    );
  });

  it('runs as many requests at a time as allowed, and no more', async () => {
    const waiting: (() => void)[] = [];
    const server = await serve((response, { body, count }) => {
      waiting.push(() => answerJson(response, 200, answerTo(body, DIMENSION)));
      // Answers only once three are here together; a fourth among them would be one too many.
      if (waiting.length === 3 || count === 10) for (const answer of waiting.splice(0)) answer();
      expect(waiting.length).toBeLessThan(3);
      return true;
    });
    close(await encode(server.url, TEXTS, { change: { textsPerRequest: 1, concurrency: 3 } }), TEXTS);
    expect(server.requests).toHaveLength(10);
  });

  it('learns the dimension from the endpoint where none is set, once', async () => {
    const server = await serve();
    const cache = newCache();
    const { dimensions: _, ...settings } = settingsFor(server.url);
    for (let run = 0; run < 2; run++) {
      const teacher = await endpointTeacher(settings, { cache });
      expect(teacher.dimension).toBe(DIMENSION);
      await teacher.close();
    }
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]!.body).not.toHaveProperty('dimensions');
  });
});

describe('tries again', () => {
  // A backoff of an hour: only who listens to the server is through in time.
  const patient = { backoffMs: AN_HOUR, longestBackoffMs: AN_HOUR, deadlineMs: 60_000 };
  for (const [name, value] of [
    ['seconds', '0'],
    ['a date', new Date(Date.now() - 5000).toUTCString()],
  ] as const) {
    it.each([429, 503, 500])(`when a %i says when, in ${name}`, async (status) => {
      const limited = first((response) => answerJson(response, status, { error: {} }, { 'retry-after': value }));
      const server = await serve(limited);
      close(await encode(server.url, TEXTS, { change: patient }), TEXTS);
      expect(server.requests).toHaveLength(2);
    });
  }

  it.each([408, 429, 500, 502, 529])('after a %i that says nothing', async (status) => {
    const server = await serve(first((response) => answerJson(response, status, { error: {} })));
    close(await encode(server.url, TEXTS), TEXTS);
    expect(server.requests).toHaveLength(2);
  });

  it('after a connection that drops before the answer, and in the middle of it', async () => {
    const server = await serve((response, { count }) => {
      if (count === 1) response.socket!.destroy();
      if (count === 2) {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
        response.write('{"data": [', () => response.socket!.destroy());
      }
      return count < 3;
    });
    close(await encode(server.url, TEXTS), TEXTS);
    expect(server.requests).toHaveLength(3);
  });

  it('after an answer that does not come, and one that stops in its middle', async () => {
    countTime();
    const server = await serve((response, { count }) => {
      if (count === 2) response.writeHead(200, { 'content-type': 'application/json' }).write('{"data": [');
      return count < 3;
    });
    close(await encode(server.url, TEXTS, { change: { attemptTimeoutMs: 300 } }), TEXTS);
    // On a busy machine an attempt after these may be too slow as well.
    expect(server.requests.length).toBeGreaterThanOrEqual(3);
  });
});

describe('gives up in one line', () => {
  const failing = async (intercept: EmbeddingsServerOptions['intercept'], change: Partial<EndpointSettings> = {}) => {
    const server = await serve(intercept);
    const error = await encode(server.url, TEXTS, {
      change: { retries: 2, apiKeyVariable: 'KEY_OF_TEST', ...change },
      env: { KEY_OF_TEST: 'sk-secret' },
    }).then(
      () => expect.unreachable(),
      (reason: Error) => reason,
    );
    expect(error.message).not.toContain('\n');
    expect(error.message).toContain(`${server.url}/embeddings`);
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain('sk-secret');
    return { error, server };
  };

  it('after the last retry, with the status and the reason', async () => {
    const { error, server } = await failing((response) =>
      answerJson(response, 429, { error: { message: 'Rate limit\nreached for stand-in' } }),
    );
    expect(error).toMatchObject({ code: 'backend_unavailable' });
    expect(error.message).toContain('429 Too Many Requests: Rate limit reached for stand-in (after 2 retries');
    expect(server.requests).toHaveLength(3);
  });

  it('at once where trying again cannot help, without the key that the server repeats', async () => {
    const { error, server } = await failing((response) =>
      answerJson(response, 401, { error: { message: 'Incorrect API key: sk-secret' } }),
    );
    expect(error).toMatchObject({ code: 'configuration' });
    expect(error.message).toContain('401 Unauthorized: Incorrect API key: [key] (the key is that in KEY_OF_TEST)');
    expect(server.requests).toHaveLength(1);
  });

  it('with the words of servers of other makes', async () => {
    for (const body of [{ detail: 'no such model' }, { message: 'no such model' }, { error: 'no such model' }]) {
      const { error } = await failing((response) => answerJson(response, 404, body));
      expect(error.message).toContain('404 Not Found: no such model');
    }
  });

  it('when the deadline passes, with what the attempt before said', async () => {
    countTime();
    const busy = (response: ServerResponse) => answerJson(response, 503, { error: 'busy' }, { 'retry-after': '3600' });
    const { error, server } = await failing(busy, { deadlineMs: 2_000 });
    expect(error).toMatchObject({ code: 'deadline_exceeded' });
    expect(error.message).toContain('no answer within 2000 ms and 2 retries; the attempt before: 503');
    expect(server.requests).toHaveLength(1);
  });

  it('when nobody listens', async () => {
    const asked = encode(`http://127.0.0.1:${await freePort()}/v1`, TEXTS, { change: { retries: 1 } });
    await expect(asked).rejects.toThrow(/ECONNREFUSED.*after 1 retries/);
  });

  it.each([
    ['too few', (data: object[]) => data.slice(1), 'expected 10 vectors, received 9'],
    ['an index twice', (data: object[]) => [...data.slice(1), data[1]!], 'once, received'],
    ['an index beyond', (data: object[]) => data.map((row, i) => ({ ...row, index: i + 1 })), 'once, received 10'],
    ['other lengths', (data: object[]) => data.map((row) => ({ ...row, embedding: [1, 2] })), 'expected vectors of 8'],
    ['no numbers', (data: object[]) => data.map((row) => ({ ...row, embedding: ['x'] })), 'unexpected answer: data.0'],
    ['a null', (data: object[]) => data.map((row) => ({ ...row, embedding: [null] })), 'unexpected answer: data.0'],
    ['too large', (data: object[]) => data.map((row) => ({ ...row, embedding: Array(8).fill(1e39) })), 'finite'],
    ['zeros', (data: object[]) => data.map((row) => ({ ...row, embedding: Array(8).fill(0) })), 'received zeros'],
    ['cut base64', (data: object[]) => data.map((row) => ({ ...row, embedding: 'AAAA' })), 'base64 of float32'],
  ])('on an answer with %s, and stores nothing of it', async (_, change, message) => {
    const server = await serve((response, { body }) => {
      const { data } = answerTo(body, DIMENSION) as { data: object[] };
      return answerJson(response, 200, { data: change(data) });
    });
    const cache = newCache();
    await expect(encode(server.url, TEXTS, { cache })).rejects.toThrow(message);
    expect(server.requests).toHaveLength(1);
    const stored = new EndpointCache(join(cache, readdirSync(cache).find((file) => file.endsWith('.sqlite'))!));
    expect(stored.dimension()).toBeUndefined();
    stored.close();
  });

  it('on an answer that is not JSON', async () => {
    const html = (response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
      return true;
    };
    expect((await failing(html)).error.message).toContain('expected JSON');
  });

  it('without asking, where the settings are wrong', async () => {
    const asked = (url: string, apiKeyVariable?: string) => encode(url, TEXTS, { change: { apiKeyVariable } });
    await expect(asked('localhost')).rejects.toThrow(
      "expected an address such as https://host/v1, received 'localhost'",
    );
    await expect(asked('http://127.0.0.1:1/v1', 'NOT_SET')).rejects.toThrow('environment variable NOT_SET, found none');
  });
});

describe('pays for no text twice', () => {
  it('across runs, sides and batch sizes; a prefix more is another text', async () => {
    const server = await serve();
    const cache = newCache();
    const whole = await encode(server.url, TEXTS, { cache });
    const again = await encode(server.url, [...TEXTS].reverse(), { cache, change: { textsPerRequest: 3 } });
    expect(server.texts()).toEqual(TEXTS);
    expect([...again.subarray(0, DIMENSION)]).toEqual([...whole.subarray(-DIMENSION)]);
    await encode(server.url, TEXTS, { cache, change: { queryPrefix: 'query: ' } });
    expect(server.texts()).toHaveLength(20);
    await encode(server.url, TEXTS, { cache, change: { model: 'another' } });
    expect(server.texts()).toHaveLength(30);
  });

  it('when another batch fails: what was under way is stored, nothing more is asked', async () => {
    let answer = () => {};
    const server = await serve((response, { body, count }) => {
      if (count === 1) answer = () => answerJson(response, 200, answerTo(body, DIMENSION));
      if (count === 2) {
        answerJson(response, 400, { error: 'too long' });
        response.on('close', () => answer());
      }
      return count <= 2;
    });
    const cache = newCache();
    const change = { textsPerRequest: 2, concurrency: 2 };
    await expect(encode(server.url, TEXTS, { cache, change })).rejects.toThrow('too long');
    expect(server.requests).toHaveLength(2);
    close(await encode(server.url, TEXTS, { cache, change }), TEXTS);
    expect(server.texts().filter((text) => server.requests[0]!.body.input.includes(text))).toHaveLength(2);
  });

  const run = (url: string, cache: string): ChildProcess =>
    spawn(process.execPath, [join(import.meta.dirname, '../../fixtures/endpoint-run.ts'), url, cache, '40', '4'], {
      stdio: 'inherit',
    });

  it('when the process is killed: what was stored before is not asked again', async () => {
    let child: ChildProcess | undefined;
    const server = await serve((_, { count }) => {
      // One request at a time: the sixth is sent when the fifth is stored.
      if (count === 6) child!.kill('SIGKILL');
      return count === 6;
    });
    const cache = newCache();
    child = run(server.url, cache);
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    const stored = server.requests.slice(0, 5).flatMap(({ body }) => body.input);
    expect(stored).toHaveLength(20);

    child = run(server.url, cache);
    expect(await once(child, 'exit')).toEqual([0, null]);
    const asked = server.requests.slice(6).flatMap(({ body }) => body.input);
    expect(asked).toHaveLength(20);
    expect(asked.filter((text) => stored.includes(text))).toEqual([]);

    const texts = Array.from({ length: 40 }, (_, i) => `text ${i}`);
    close(await encode(server.url, texts, { cache }), texts);
    expect(server.requests).toHaveLength(6 + 5);
  });

  it('when the process is killed as it stores: at most that batch is asked again', async () => {
    let child: ChildProcess | undefined;
    const server = await serve((response, { body, count }) => {
      if (count !== 5) return false;
      response.on('finish', () => child!.kill('SIGKILL'));
      return answerJson(response, 200, answerTo(body, DIMENSION));
    });
    const cache = newCache();
    child = run(server.url, cache);
    await once(child, 'exit');
    child = run(server.url, cache);
    expect(await once(child, 'exit')).toEqual([0, null]);
    const texts = server.texts();
    expect(new Set(texts).size).toBe(40);
    expect([40, 44]).toContain(texts.length);
  });
});

it('says so when what lies in the cache is something else', () => {
  const path = folder('other.sqlite');
  writeFileSync(path, 'no database at all, but longer than a header would be '.repeat(20));
  expect(() => new EndpointCache(path)).toThrow(/other\.sqlite: expected stored vectors.*delete it/);
});
