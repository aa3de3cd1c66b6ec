/** For those who run it: `GET /healthz`, `/readyz`, `/metrics`, `/openapi.json`. */
import type { Health } from '../../shared/contract/health.ts';
import { openApi } from '../../shared/contract/openapi.ts';
import { BACKEND_ROUTES } from '../../shared/contract/routes.ts';
import { HarnessError } from '../../shared/problem.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import type { Metrics } from './metrics.ts';

export interface OperationsOptions {
  version: string;
  /** What `/healthz` says beside status and version. */
  health: () => Record<string, unknown>;
  /** Why queries cannot be answered yet; `undefined` when they can. */
  notReady: () => string | undefined;
  metrics: Metrics;
}

export function operationsRoutes({ version, health, notReady, metrics }: OperationsOptions): Endpoint[] {
  const state = (): Health => ({ status: notReady() === undefined ? 'ok' : 'degraded', version, ...health() });
  const document = openApi(
    {
      title: 'Harness backend',
      version,
      description: 'Retrieval, catalogue, events and experiments. Errors are RFC 9457 problems with a stable code.',
    },
    BACKEND_ROUTES,
  );
  return [
    endpoint({ on: 'get /healthz', handle: async () => state() }),
    endpoint({
      on: 'get /readyz',
      async handle() {
        const reason = notReady();
        if (reason !== undefined) throw new HarnessError('not_ready', reason, { retryAfterSeconds: 1 });
        return state();
      },
    }),
    endpoint({
      on: 'get /metrics',
      async handle() {
        const { text, contentType } = await metrics.render();
        return new Response(text, { headers: { 'content-type': contentType, 'cache-control': 'no-store' } });
      },
    }),
    endpoint({ on: 'get /openapi.json', handle: async () => document }),
  ];
}
