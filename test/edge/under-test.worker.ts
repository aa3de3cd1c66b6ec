/**
 * One edge for one test, in workerd: an isolate of its own over the stand-in backend, with a clock that stands still
 * until it is set, a cache of its own, a queue that keeps what it is given, and outboxes in real Durable Objects whose alarms
 * the test sets off.
 */
import { createExecutionContext, runInDurableObject, waitOnExecutionContext } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { expect, inject } from 'vitest';
import { createApp } from '../../edge/app.ts';
import { createIsolate, type Isolate } from '../../edge/isolate.ts';
import { Outbox } from '../../edge/outbox/outbox.ts';
import kernel from '../../edge/student/linear.wasm';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { AdsResponse } from '../../shared/contract/query-route.ts';
import { Problem } from '../../shared/problem.ts';
import type { Behaviour, Told } from './stand-in.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    standInUrl: string;
  }
}

/** An outbox that nobody can reach. */
export const noOutbox = {
  idFromName: () => '',
  get: () => ({ fetch: () => Promise.reject(new Error('no outbox answers')) }),
};

export function cookieOf(response: Response): string {
  return response.headers.get('set-cookie')!.split(';')[0]!;
}

type Bindings = Parameters<typeof createIsolate>[0];

/** A part of the KV namespace for one test. */
export function namespaceOf(name: string): NonNullable<Bindings['KV']> {
  const { KV } = env as unknown as Required<Bindings>;
  return {
    getWithMetadata: (key, type) => KV.getWithMetadata(`${name}/${key}`, type),
    put: (key, value, options) => KV.put(`${name}/${key}`, value, options),
  };
}
let count = 0;

/** No test hangs on how busy the machine is. */
const PATIENCE = {
  configMs: 20_000,
  killListMs: 20_000,
  killListCallMs: 20_000,
  storeMs: 20_000,
  headCallMs: 20_000,
  headMs: 20_000,
  outboxMs: 20_000,
  ledgerMs: 20_000,
};

export function edgeUnderTest(overrides: Partial<Bindings> = {}) {
  const number = ++count;
  const name = `${expect.getState().testPath?.replaceAll(/\W/g, '-')}-${number}`;
  const room = `${inject('standInUrl')}/${name}`;
  const queued: HarnessEvent[] = [];
  let nowMs = Date.now();
  let forwardMs = 0;
  let ids = 0;
  let entrypointCalls = 0;
  const alarms = new Map<string, number | null>();
  /** Runs in the Durable Object of that name, on its SQLite, with what this edge gives it. */
  const inOutbox = <T>(object: string, act: (outbox: Outbox) => Promise<T>): Promise<T> => {
    const { OUTBOX } = env as unknown as { OUTBOX: DurableObjectNamespace };
    return runInDurableObject(OUTBOX.get(OUTBOX.idFromName(`${name}-${object}`)) as never, (_, state) => {
      const storage = {
        sql: state.storage.sql,
        getAlarm: async () => alarms.get(object) ?? null,
        setAlarm: async (atMs: number) => void alarms.set(object, atMs),
      };
      return act(new Outbox({ storage }, () => isolate.outboxDependencies));
    });
  };
  // Each isolate asks for the kill list itself: the object has tests of its own.
  const { KILL_LIST: _, ...bound } = env as unknown as Bindings;
  const bindings: Bindings = {
    ...bound,
    BACKEND_URL: room,
    // Longer than any call takes on a busy machine: a test of the deadline sets its own.
    BACKEND_DEADLINE_MS: '20000',
    CACHE_SOFT_SECONDS: '10',
    CACHE_REVALIDATE_SECONDS: '5',
    KV: namespaceOf(name),
    EVENTS: {
      send: async (message) => {
        queued.push(...(JSON.parse(message) as HarnessEvent[]));
      },
    },
    OUTBOX: {
      idFromName: (object: string) => object,
      get: (object: string) => ({
        fetch: (url, init) => inOutbox(object, (outbox) => outbox.fetch(new Request(url, init as never) as never)),
      }),
    },
    ...overrides,
  };
  const newIsolate = (): Isolate =>
    createIsolate(bindings, {
      clock: {
        now: () => nowMs,
        elapsed: () => performance.now() + forwardMs,
        random: () => 0,
        // The same at every run, and so the same arm for the same visitor.
        newId: () => `${String(++ids).padStart(8, '0')}-0000-4000-8000-${String(number).padStart(12, '0')}`,
      },
      openCache: () => caches.open(name) as never,
      candidates: {
        fetch: (url, init) => {
          entrypointCalls += 1;
          return isolate.answerCandidates(new Request(url, init as never) as never);
        },
      },
      kernel,
      gatherMs: 0,
      waits: PATIENCE,
    });
  let isolate = newIsolate();
  let app = createApp(isolate);

  return {
    queued,
    bindings,
    get isolate() {
      return isolate;
    },
    /** Calls of the entrypoint that Workers Caching would stand in front of. */
    get entrypointCalls() {
      return entrypointCalls;
    },
    /** The cache that its isolates share. */
    dataCentre: () => caches.open(name),
    /** Another isolate of the same data centre: empty memory, same Cache API. */
    restart() {
      isolate = newIsolate();
      app = createApp(isolate);
    },
    /** When the outboxes want to be woken, in the edge's time. */
    get alarms() {
      return [...alarms.values()].filter((atMs) => atMs !== null);
    },
    /** Sets the clock to the first alarm and wakes the outbox. */
    async alarm(): Promise<void> {
      const [object, atMs] = [...alarms].filter(([, at]) => at !== null).sort((a, b) => a[1]! - b[1]!)[0]!;
      nowMs = Math.max(nowMs, atMs!);
      alarms.set(object, null);
      await inOutbox(object, (outbox) => outbox.alarm());
    },
    /** Sets the clock forward, or back; the one for durations does not go back. */
    later(seconds: number) {
      nowMs += seconds * 1_000;
      forwardMs += Math.max(0, seconds * 1_000);
    },
    /** Calls for candidates have so long from now on; who follows another's call goes by `BACKEND_DEADLINE_MS`. */
    deadline(ms: number) {
      isolate.settings = { ...isolate.settings, backendDeadlineMs: ms };
    },
    async fetch(path: string, init: RequestInit = {}): Promise<Response> {
      const ctx = createExecutionContext();
      const request = new Request(path.startsWith('http') ? path : `https://edge.example${path}`, {
        redirect: 'manual',
        ...init,
      } as never);
      const response = await app.fetch(request as never, bindings, ctx as never);
      await waitOnExecutionContext(ctx as never);
      return response;
    },
    /** An answer with ads; fails the test for anything else. */
    async ads(query: string, init: RequestInit = {}): Promise<AdsResponse> {
      const response = await this.fetch(`/v1/ads?${query}`, init);
      const body = await response.json();
      expect(body).toEqual(AdsResponse.parse(body));
      expect(response.status).toBe(200);
      return body as AdsResponse;
    },
    /** A problem; fails the test for anything else. */
    async problem(path: string, init: RequestInit = {}): Promise<Problem> {
      const response = await this.fetch(path, init);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      const problem = Problem.parse(await response.json());
      expect(problem.status).toBe(response.status);
      return problem;
    },
    /** Changes how the backend behaves. */
    async backend(behaviour: Partial<Behaviour>): Promise<void> {
      await (await fetch(room, { method: 'POST', body: JSON.stringify(behaviour) })).text();
    },
    /** What the backend was called with so far. */
    async told(): Promise<Told> {
      return (await fetch(room)).json();
    },
    /** Lets held calls go on. */
    async release(): Promise<void> {
      await (await fetch(`${room}/release`, { method: 'POST' })).text();
    },
  };
}
