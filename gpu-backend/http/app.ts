/**
 * The backend's HTTP side: the route table of shared/contract/routes.ts, each line with its endpoint. Here is what all of
 * them share, in this order: request id, metrics and log, news headers, signature, body limit, JSON, schema, problems.
 */
import { randomUUID } from 'node:crypto';
import type { Span } from '@opentelemetry/api';
import { type Context, Hono } from 'hono';
import type { Logger } from 'pino';
import { openAiProblem } from '../../shared/contract/embeddings.ts';
import { BACKEND_ROUTES } from '../../shared/contract/routes.ts';
import { HarnessError, parse, problemResponse } from '../../shared/problem.ts';
import { SIGNATURE_HEADERS } from '../../shared/signature.ts';
import { parseTraceparent, TRACEPARENT } from '../../shared/traceparent.ts';
import { unstorable } from '../db/storable.ts';
import { activeTraceId, requestSpan } from '../tracing/span.ts';
import type { ApiKeys } from './api-keys.ts';
import type { Authenticator } from './auth.ts';
import { readJson, readText } from './body.ts';
import { type Call, type Endpoint, JsonText } from './endpoint.ts';
import { FixedPaths } from './fixed-paths.ts';
import type { Metrics } from './metrics.ts';

export interface AppOptions {
  endpoints: readonly Endpoint[];
  auth: Authenticator;
  apiKeys: ApiKeys;
  metrics: Metrics;
  log: Logger;
  /** Headers of every answer. */
  news: () => Record<string, string>;
}

type Variables = {
  requestId: string;
  route: string;
  openAi: boolean;
  ids: { requestId: string; traceId?: string };
  /**
   * Whether the answer was made with the headers that every answer has; adding them to a finished one costs more than
   * the rest of it.
   */
  complete: boolean;
};

const REQUEST_ID = 'x-request-id';
const template = (path: string) => new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`);
/**
 * A path in Hono's syntax; a colon inside a segment would be read as a parameter, so such a segment is written as a
 * pattern.
 */
const honoPath = (path: string) =>
  path
    .split('/')
    .map((part, i) => (part.includes(':') ? `:part${i}{${part}}` : part.replace(/^\{(\w+)\}$/, ':$1')))
    .join('/');

/** Throws (a fault of the program) unless table and endpoints name the same routes. */
function pair(endpoints: readonly Endpoint[]) {
  const byRoute = new Map<string, Endpoint>(endpoints.map((endpoint) => [endpoint.on, endpoint]));
  const pairs = BACKEND_ROUTES.map((route) => {
    const key = `${route.method} ${route.path}`;
    const endpoint = byRoute.get(key);
    if (endpoint === undefined || (route.body === undefined) !== (endpoint.body === undefined))
      throw new Error(`${key}: expected an endpoint with${route.body === undefined ? 'out' : ''} a body`);
    byRoute.delete(key);
    return { route, endpoint };
  });
  if (byRoute.size > 0) throw new Error(`not in the route table: ${[...byRoute.keys()].join(', ')}`);
  return pairs;
}

/**
 * What handlers see of a request. A class: an object literal with getters is given a hidden class of its own each time, which
 * keeps the whole request in memory until the next full garbage collection.
 */
class HonoCall implements Call<unknown> {
  readonly #c: Context<{ Variables: Variables }>;
  readonly #log: Logger;
  readonly body: unknown;
  readonly params: Record<string, string>;
  readonly keyId: string | null;
  readonly requestId: string;

  constructor(
    c: Context<{ Variables: Variables }>,
    { log, body, params, keyId }: { log: Logger } & Pick<Call<unknown>, 'body' | 'params' | 'keyId'>,
  ) {
    this.#c = c;
    this.#log = log;
    this.body = body;
    this.params = params;
    this.keyId = keyId;
    this.requestId = c.get('requestId');
  }

  // Made for those who ask: each costs as much as reading a small body.
  get query(): Record<string, string> {
    return this.#c.req.query();
  }

  get signal(): AbortSignal {
    return this.#c.req.raw.signal;
  }

  get log(): Logger {
    return this.#log.child(this.#c.get('ids'));
  }
}

export function createApp({
  endpoints,
  auth,
  apiKeys,
  metrics,
  log,
  news,
}: AppOptions): Hono<{ Variables: Variables }> {
  const app = new Hono<{ Variables: Variables }>({ router: new FixedPaths() });
  const ofEvery = (requestId: string): Record<string, string> => ({ ...news(), [REQUEST_ID]: requestId });

  app.use(async (c, next) => {
    const began = performance.now();
    const given = c.req.header(REQUEST_ID);
    const requestId = given !== undefined && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
    c.set('requestId', requestId);
    c.set('route', 'unmatched');
    const { method } = c.req;
    const caller = parseTraceparent(c.req.header(TRACEPARENT));
    let ids: Variables['ids'] = { requestId };
    const end = (active: Span) => {
      active.updateName(`${method} ${c.get('route')}`);
      active.setAttributes({
        'http.request.method': method,
        'http.route': c.get('route'),
        'http.response.status_code': c.res.status,
        'harness.request_id': requestId,
      });
    };
    await requestSpan({ name: method, caller, end }, async () => {
      const traceId = activeTraceId() ?? caller?.traceId;
      if (traceId !== undefined) ids = { requestId, traceId };
      c.set('ids', ids);
      await next();
    });
    if (!c.get('complete'))
      for (const [name, value] of Object.entries(ofEvery(requestId))) c.res.headers.set(name, value);
    const seconds = (performance.now() - began) / 1000;
    const { status } = c.res;
    metrics.observeRequest({ route: c.get('route'), method, status, seconds });
    const level = status < 400 ? 'debug' : status < 500 ? 'info' : 'warn';
    log[level]({ ...ids, method, path: c.req.path, status, ms: Math.round(seconds * 1e5) / 100 }, 'request');
  });

  for (const { route, endpoint } of pair(endpoints)) {
    app.on(route.method.toUpperCase(), honoPath(route.path), async (c) => {
      c.set('route', route.path);
      c.set('openAi', route.openAi === true);
      const params = c.req.param();
      const bad = unstorable(params);
      if (bad !== undefined) throw new HarnessError('not_found', `${bad}: expected text without U+0000.`);
      const bearer = route.openAi ? apiKeys.bearer(c.req.raw.headers) : null;
      const signed = route.signed && bearer === null;
      if (signed) auth.requireHeaders(c.req.raw.headers);
      const text = route.body === undefined && !route.signed ? '' : await readText(c.req.raw, endpoint.maxBytes);
      if (signed) {
        const { pathname, search } = new URL(c.req.url);
        await auth.authenticate({ method: c.req.method, path: pathname + search, body: text }, c.req.raw.headers);
      }
      const body =
        endpoint.body === undefined
          ? undefined
          : parse(endpoint.body, readJson(text, c.req.header('content-type')), 'body');
      const call: Call<unknown> = new HonoCall(c, {
        log,
        body,
        params,
        keyId: signed ? c.req.header(SIGNATURE_HEADERS.keyId)! : bearer,
      });
      let answer: unknown;
      try {
        answer = await endpoint.handle(call as Call<never>);
      } catch (thrown) {
        const { signal } = c.req.raw;
        if (!signal.aborted || thrown !== signal.reason) throw thrown;
        // The reason is a text, which Hono would hand to nobody: neither the log nor the metrics would know of the request.
        throw new HarnessError('deadline_exceeded', 'The caller went away.');
      }
      if (answer instanceof Response) return answer;
      if (answer === undefined) return c.body(null, 204);
      c.set('complete', true);
      return new Response(answer instanceof JsonText ? answer.text : JSON.stringify(answer), {
        status: route.status ?? 200,
        headers: {
          'content-type': 'application/json',
          'cache-control': 'no-store',
          ...ofEvery(c.get('requestId')),
        },
      });
    });
  }

  app.notFound((c) => problemResponse(missing(c), c.get('requestId')));
  app.onError((error, c) => {
    const requestId = c.get('requestId');
    if (!(error instanceof HarnessError)) log.error({ ...c.get('ids'), err: error }, 'fault');
    else if (error.status === 500) log.error({ ...c.get('ids'), code: error.code, err: error }, error.message);
    else log.debug({ ...c.get('ids'), code: error.code }, error.message);
    return problemResponse(error, requestId, c.get('openAi') ? openAiProblem : undefined);
  });
  return app;
}

/** `method_not_allowed` for a path that has other methods, `not_found` otherwise. */
function missing(c: Context): HarnessError {
  const methods = BACKEND_ROUTES.filter(({ path }) => template(path).test(c.req.path)).map(({ method }) =>
    method.toUpperCase(),
  );
  const shown = c.req.path.slice(0, 100);
  return methods.length > 0
    ? new HarnessError('method_not_allowed', `${shown}: expected ${methods.join(' or ')}, got ${c.req.method}.`)
    : new HarnessError('not_found', `There is nothing at ${shown}; GET /openapi.json lists the routes.`);
}
