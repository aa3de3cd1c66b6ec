/** `GET /healthz`: the state of the isolate that answers. */
import { Hono } from 'hono';
import type { EdgeContext, Isolate } from './isolate.ts';
import { VERSION } from './isolate.ts';

export const healthRoute = (isolate: Isolate) =>
  new Hono<EdgeContext>().get('/healthz', (c) => {
    const { config, killList, cache, memory, origins, head, rungs, student } = isolate;
    const { limiter, events, ledger, clock, startedAtMs } = isolate;
    const state = config.state;
    c.header('cache-control', 'no-store');
    return c.json({
      status: state.lastError === null ? ('ok' as const) : ('degraded' as const),
      version: VERSION,
      upMs: clock.now() - startedAtMs,
      config: state,
      killList: { version: killList.list.version, ads: killList.list.adIds.length, ...killList.counts },
      cache: { answers: cache.counts, memory: memory.size },
      rungs,
      origins: { ...origins.counts, hedgeAfterMs: origins.hedgeAfterMs, breakers: origins.breakers },
      head: { ...head.counts, inMemory: head.state },
      ...(student === undefined ? {} : { student: { model: student.model, ...student.counts } }),
      ...(limiter === undefined ? {} : { rateLimit: limiter.counts }),
      events: events.counts,
      ledger: ledger.state,
    });
  });
