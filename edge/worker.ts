/** The Worker's entry point: an isolate is made on its first request and serves all that follow. */
import './without-process.ts';
import './without-cycles.ts';
import { problemResponse } from '../shared/problem.ts';
import { createApp } from './app.ts';
import type { ResponseCache } from './cache/colo.ts';
import type { Entrypoint } from './cache/workers-cache.ts';
import { consume, type EventMessages } from './consumer.ts';
import type { EdgeBindings } from './env.ts';
import { createIsolate, type Isolate } from './isolate.ts';
import { Outbox as EventOutbox, type ObjectState } from './outbox/outbox.ts';
import { reconcileOnSchedule } from './reconcile.ts';
import { secured } from './security-headers.ts';
import kernel from './student/linear.wasm';
import { type KeeperState, KillListObject } from './takedown/kill-list-object.ts';

interface Edge {
  isolate: Isolate;
  app: ReturnType<typeof createApp>;
}
/** As much as is used here of the loopback bindings that every handler and object has. */
interface Loopback {
  exports?: { Candidates?: Entrypoint };
}
type ExecutionContext = Parameters<ReturnType<typeof createApp>['fetch']>[2] & Loopback;

let edge: Edge | undefined;

/**
 * Not at module level: the runtime gives neither bindings nor randomness before the first request. `exports` is read
 * once: reading creates it, and a context that has it is kept until a full garbage collection.
 */
function edgeOf(env: EdgeBindings, loopback: Loopback): Edge {
  if (edge === undefined) {
    const { caches } = globalThis as unknown as { caches: { open(name: string): Promise<ResponseCache> } };
    const openCache = () => caches.open('harness-candidates');
    const isolate = createIsolate(env, { openCache, candidates: loopback.exports?.Candidates, kernel });
    edge = { isolate, app: createApp(isolate) };
  }
  return edge;
}

/** The Durable Object of `OUTBOX` in wrangler.toml. */
export class Outbox extends EventOutbox {
  constructor(state: ObjectState & Loopback, env: EdgeBindings) {
    super(state, () => edgeOf(env, state).isolate.outboxDependencies);
  }
}

/** The Durable Object of `KILL_LIST` in wrangler.toml. */
export class KillList extends KillListObject {
  constructor(state: KeeperState & Loopback, env: EdgeBindings) {
    super(state, () => edgeOf(env, state).isolate.keeperDependencies);
  }
}

/** Candidates by their key, with Workers Caching in front; nobody but this Worker can call it. */
export const Candidates = {
  fetch: (request: Request, env: EdgeBindings, ctx: Loopback): Promise<Response> =>
    edgeOf(env, ctx).isolate.answerCandidates(request),
};

export default {
  async fetch(request: Request, env: EdgeBindings, ctx: ExecutionContext): Promise<Response> {
    try {
      return await edgeOf(env, ctx).app.fetch(request, env, ctx);
    } catch (error) {
      // Only a wrong configuration gets here: the application answers its own errors.
      const requestId = crypto.randomUUID();
      console.error(JSON.stringify({ level: 'fatal', message: String(error), requestId }));
      return secured(problemResponse(error, requestId));
    }
  },

  async queue(batch: EventMessages, env: EdgeBindings, ctx: Loopback): Promise<void> {
    const { isolate } = edgeOf(env, ctx);
    await consume(batch, {
      store: isolate.storeEvents,
      park: (events) => isolate.outboxes.put(events),
      counts: isolate.events.counts,
      onError: isolate.onError,
    });
  },

  async scheduled(_controller: unknown, env: EdgeBindings, ctx: Loopback): Promise<void> {
    await reconcileOnSchedule(edgeOf(env, ctx).isolate);
  },
};
