/** The application: what happens around every route, in which order, and the routes themselves. */
import { Hono } from 'hono';
import { HarnessError, problemResponse, toProblem } from '../shared/problem.ts';
import { adsRoute } from './ads.ts';
import { clickRoute } from './click.ts';
import { conversionsRoute } from './conversions.ts';
import { healthRoute } from './health.ts';
import { hotRoute, isAds } from './hot-route.ts';
import { type EdgeContext, type Isolate, VERSION } from './isolate.ts';
import { playgroundRoute } from './playground/playground.ts';
import { rateLimit } from './rate-limit.ts';
import { reconcileRoute } from './reconcile.ts';
import { documentOf, methodsOf } from './route-table.ts';
import { secureHeaders } from './security-headers.ts';

/** 405 with the methods that the path does have, else 404. */
function noRoute(method: string, path: string, requestId: string): Response {
  const methods = methodsOf(path);
  if (methods.length === 0) {
    return problemResponse(
      new HarnessError('not_found', 'No such route; GET /openapi.json lists them all.'),
      requestId,
    );
  }
  const response = problemResponse(
    new HarnessError('method_not_allowed', `Expected ${methods.join(' or ')}, got ${method.slice(0, 20)}.`),
    requestId,
  );
  response.headers.set('allow', methods.join(', '));
  return response;
}

/** The answer to an error; one of ours is logged. */
function refuse(
  { onError }: Pick<Isolate, 'onError'>,
  error: unknown,
  { what, requestId }: { what: string; requestId: string },
): Response {
  if (toProblem(error).status >= 500)
    onError(`${what} (${requestId})`, error instanceof Error ? (error.stack ?? error) : error);
  return problemResponse(error, requestId);
}

function createRoutes(isolate: Isolate) {
  let document: Record<string, unknown> | undefined;
  const app = new Hono<EdgeContext>()
    .use(async (c, next) => {
      c.set('requestId', isolate.clock.newId());
      await next();
    })
    .use(secureHeaders)
    .use('/v1/*', rateLimit(isolate))
    .route('/', adsRoute(isolate))
    .route('/', clickRoute(isolate))
    .route('/', conversionsRoute(isolate))
    .route('/', reconcileRoute(isolate))
    .route('/', healthRoute(isolate))
    .route('/', playgroundRoute(isolate))
    .get('/openapi.json', (c) => {
      c.header('cache-control', 'public, max-age=300');
      document ??= documentOf(VERSION);
      return c.json(document);
    });
  app.notFound((c) => noRoute(c.req.method, c.req.path, c.get('requestId')));
  app.onError((error, c) =>
    refuse(isolate, error, { what: `${c.req.method} ${c.req.path}`, requestId: c.get('requestId') }),
  );
  return app;
}

/** For `hc<EdgeApp>()`, Hono's typed client. */
export type EdgeApp = ReturnType<typeof createRoutes>;

/** Answers every request; never rejects. */
export function createApp(isolate: Isolate): Pick<EdgeApp, 'fetch'> {
  let routes: EdgeApp | undefined;
  return {
    fetch(request, bindings, context) {
      if (context !== undefined && request.method === 'GET' && isAds(request.url))
        return hotRoute(isolate, request, {
          waitUntil: (work) => context.waitUntil(work),
          refuse: (error, requestId) => refuse(isolate, error, { what: 'GET /v1/ads', requestId }),
        });
      routes ??= createRoutes(isolate);
      return routes.fetch(request, bindings, context);
    },
  };
}
