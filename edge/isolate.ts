/**
 * What lives as long as the isolate: settings, caches, configuration, counters. The one place of the Worker that names
 * adapters; everything else receives it.
 */
import type { LRUCache } from 'lru-cache';
import type { EventBatchResult, HarnessEvent } from '../shared/contract/events.ts';
import type { Rung } from '../shared/contract/query-route.ts';
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { Backend } from './backend.ts';
import { candidateCache } from './cache/candidate-cache.ts';
import type { ResponseCache } from './cache/colo.ts';
import type { MemoryCache } from './cache/memory.ts';
import type { Loaded, TieredCache } from './cache/tiered.ts';
import { answerCandidates, askThrough, type Entrypoint, type Retrieval } from './cache/workers-cache.ts';
import { type Clock, forward, systemClock } from './clock.ts';
import { kvSnapshot } from './config-snapshot.ts';
import { ConfigStore } from './config-store.ts';
import { type EdgeBindings, type EdgeSettings, readSettings } from './env.ts';
import { EventLog } from './events.ts';
import { kvShelf } from './head/head-shelf.ts';
import { HEAD_MAX_AGE_MS, HeadStore } from './head/head-store.ts';
import { lastUsed } from './last-used.ts';
import { Ledger } from './ledger.ts';
import { ledgerEntry } from './outbox/ledger-entry.ts';
import type { OutboxDependencies } from './outbox/outbox.ts';
import { Outboxes } from './outbox/outboxes.ts';
import { RateLimiter } from './rate-limit.ts';
import { guardedOrigins } from './resilience/guarded-origins.ts';
import { orSecond } from './resilience/or-second.ts';
import type { Ask, Origins } from './resilience/origins.ts';
import type { Serving } from './serving.ts';
import { Slates } from './slates.ts';
import { type BundleFiles, loadStudent } from './student/load.ts';
import { QueryEncoder } from './student/query-encoder.ts';
import { KillListKeeper } from './takedown/kill-list.ts';
import type { KeeperDependencies } from './takedown/kill-list-object.ts';
import { servingNow } from './takedown/serving-now.ts';
import { askSources } from './takedown/sources.ts';

export const VERSION = '0.1.0';

/** Longest waits, in milliseconds, that are no setting. */
const WAITS = {
  /** Of an isolate's first requests for the configuration. */
  configMs: 250,
  /** Of a request for a newer kill list. With the age from which it waits less than the second within which a taken-down ad is gone. */
  killListMs: 500,
  /** For the backend's kill list. */
  killListCallMs: 1_000,
  /** For the backend to store events, and to say which it has. */
  storeMs: 10_000,
  /** For the backend's ads of the head. */
  headCallMs: 10_000,
  /** Of a request for the ads of the head that are in KV. */
  headMs: 500,
  /** For the outbox to take events. */
  outboxMs: 2_000,
  /** For the outbox to take what was issued; nobody waits for that. */
  ledgerMs: 5_000,
};
const KILL_LIST = { refreshMs: 250, boundMs: 500 };
/** When the second backend is asked for it, too: early enough for whoever waits, the object of all isolates among them. */
const KILL_LIST_LATE_MS = 150;
/** Longest that an event waits for others to share a call to the queue while one is in the air. */
const GATHER_EVENTS_MS = 5;
/** Visitors whose cookies need no second look: about 3 MB. */
const VISITORS = 10_000;
/** Hono's types for this application. */
export interface EdgeContext {
  Bindings: EdgeBindings;
  Variables: { requestId: string };
}

export interface Isolate {
  settings: EdgeSettings;
  clock: Clock;
  /** Where candidates are asked for. */
  origins: Origins;
  config: ConfigStore;
  /** Unit ids of visitors who were here lately, by their cookies. */
  visitors: LRUCache<string, string>;
  killList: KillListKeeper;
  /** What the next request is served by. */
  serving: () => Serving;
  /** For the kill list's object, where it runs in this isolate. */
  keeperDependencies: KeeperDependencies;
  memory: MemoryCache;
  cache: TieredCache;
  /** Encodes queries where a student is bound. */
  student: QueryEncoder | undefined;
  /** Candidates of the origins, or of the cache in front of them. */
  retrieve: (retrieval: Retrieval) => Promise<Loaded>;
  /** The entrypoint behind that cache. */
  answerCandidates: (request: Request) => Promise<Response>;
  /** What is shown while no origin answers. */
  head: HeadStore;
  /** What lists come to in the auction. */
  slates: Slates;
  /** Answers of this isolate, by the rung that gave them. */
  rungs: Record<Rung, number>;
  events: EventLog;
  ledger: Ledger;
  limiter: RateLimiter | undefined;
  outboxes: Outboxes;
  /** For the outbox, where it runs in this isolate. */
  outboxDependencies: OutboxDependencies;
  storeEvents: (events: readonly HarnessEvent[]) => Promise<EventBatchResult>;
  startedAtMs: number;
  onError: (message: string, error: unknown) => void;
}

export interface IsolateOptions {
  clock?: Clock;
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Opens the data centre's cache; `undefined` where there is none. */
  openCache?: (() => Promise<ResponseCache>) | undefined;
  /** The entrypoint that Workers Caching stands in front of. */
  candidates?: Entrypoint | undefined;
  /** linear.wasm, compiled: what a student needs. */
  kernel?: object | undefined;
  /** How long issued ids are gathered before the ledger is told. */
  gatherMs?: number;
  /** Other waits than {@link WAITS}. */
  waits?: Partial<typeof WAITS>;
}

/** Logs as one line of JSON, which is what Workers Logs index. */
function logError(message: string, error: unknown): void {
  const reason = error instanceof AggregateError ? error.errors.map(String).join('; ') : String(error);
  console.error(JSON.stringify({ level: 'error', message, reason }));
}

function studentOf(files: BundleFiles | undefined, kernel: object | undefined, now: () => number) {
  if (files === undefined || kernel === undefined) return undefined;
  return new QueryEncoder({ load: () => loadStudent(files, kernel), now, onError: logError });
}

/** Throws `configuration` when a binding is missing or wrong. */
export function createIsolate(env: EdgeBindings, options: IsolateOptions = {}): Isolate {
  const settings = readSettings(env);
  const clock = options.clock ?? systemClock;
  const { now } = clock;
  const steady = forward(now);
  const waits = { ...WAITS, ...options.waits };
  const backendAt = (baseUrl: string) =>
    new Backend({
      baseUrl,
      keys: settings.keys,
      fetch: options.fetch ?? ((url, init) => fetch(url, init)),
      now,
      newNonce: clock.newId,
      onNews: (news) => {
        config.heard(news);
        killList.heard(news.configVersion ?? 0);
      },
    });
  const backend = backendAt(settings.backendUrl);
  const second = settings.secondBackendUrl === undefined ? undefined : backendAt(settings.secondBackendUrl);
  const backends = second === undefined ? [backend] : [backend, second];
  const ofEither = <T>(ask: (each: Backend) => Promise<T>, lateMs: number): Promise<T> =>
    second === undefined
      ? ask(backend)
      : orSecond(
          () => ask(backend),
          () => ask(second),
          lateMs,
        );
  const origins = guardedOrigins({ backends, settings, steady, elapsed: clock.elapsed });
  const student = studentOf(env.STUDENT, options.kernel, steady);
  /** Of the origins, with the query's vector where a student makes it. */
  const askOrigins = (request: Retrieval['request'], ask: Ask): Promise<Loaded> =>
    student === undefined
      ? origins.retrieve(request, ask)
      : student.asking((asked) => origins.retrieve(asked, ask), request);
  const config = new ConfigStore({
    bundled: DEFAULT_CONFIG,
    // Every isolate asks, and those far away take their time: two calls should not be the rule.
    load: () => ofEither((each) => each.config(settings.backendDeadlineMs), settings.backendDeadlineMs / 2),
    snapshot: env.KV === undefined ? undefined : kvSnapshot(env.KV, now),
    now: steady,
    refreshMs: 1_000,
    staleMs: 3_000,
    waitMs: waits.configMs,
    onError: (message) => logError('configuration', message),
  });
  const loadKillList = (have: number) =>
    ofEither((each) => each.killList(have, waits.killListCallMs), KILL_LIST_LATE_MS);
  const killList = new KillListKeeper({
    ask: askSources({ objects: env.KILL_LIST, load: loadKillList }),
    now: steady,
    ...KILL_LIST,
    waitMs: waits.killListMs,
    // It covers no more than the generation before its own: with it, lists of older ones must not be shown.
    onNewer: ({ generation }) => config.heard({ configVersion: null, generation }),
    onError: logError,
  });
  const serving = servingNow({ config, killList });
  const { storeMs, headCallMs } = waits;
  /** An event that both stored is one row. */
  const storeEvents = (events: readonly HarnessEvent[]) =>
    ofEither((each) => each.storeEvents(events, storeMs), storeMs / 2);
  const { cache, memory, lives } = candidateCache({
    settings,
    openCache: options.openCache,
    kv: env.KV,
    now,
    steady,
    random: clock.random,
    onTierError: (status, error) => logError(`cache tier ${status} failed`, error),
  });
  const through = settings.workersCache ? options.candidates : undefined;
  const outboxes = new Outboxes(env.OUTBOX, clock.newId());
  const ledger = new Ledger({
    write: (ids) => outboxes.note(ids),
    gatherMs: options.gatherMs ?? 1_000,
    timeoutMs: waits.ledgerMs,
    now: steady,
    onError: logError,
  });
  const events = new EventLog({
    queue: env.EVENTS,
    park: (parked) => outboxes.put(parked),
    direct: storeEvents,
    note: (event, waitUntil) => ledger.note(ledgerEntry(event), waitUntil),
    gatherMs: GATHER_EVENTS_MS,
    deadlineMs: settings.eventDeadlineMs,
    outboxTimeoutMs: waits.outboxMs,
    now: steady,
    onError: logError,
  });
  return {
    settings,
    clock,
    origins,
    config,
    visitors: lastUsed(VISITORS),
    killList,
    serving,
    keeperDependencies: { now: steady, load: loadKillList, onError: logError },
    memory,
    cache,
    student,
    retrieve: (retrieval) =>
      through === undefined ? askOrigins(retrieval.request, retrieval.ask) : askThrough(through, retrieval),
    answerCandidates: (request) => answerCandidates(request, { retrieve: askOrigins, lives, now }),
    head: new HeadStore({
      load: () => ofEither((each) => each.headAds(headCallMs), headCallMs / 2),
      shelf: env.KV === undefined ? undefined : kvShelf(env.KV, { ttlSeconds: HEAD_MAX_AGE_MS / 1_000 }),
      generation: () => config.generation,
      // A list that does not say how far back it goes is of a release before, and covers the newest alone.
      since: () => serving().config.killListSince ?? config.generation ?? 0,
      now,
      steady,
      random: clock.random,
      waitMs: waits.headMs,
      onError: logError,
    }),
    slates: new Slates(settings.keys),
    rungs: { fresh: 0, stale: 0, hedge: 0, head: 0, empty: 0 },
    limiter: env.RATE_LIMIT && new RateLimiter({ binding: env.RATE_LIMIT, now: steady, onError: logError }),
    events,
    ledger,
    outboxes,
    outboxDependencies: {
      now,
      store: storeEvents,
      missing: (ids) => ofEither((each) => each.missingEvents(ids, storeMs), storeMs / 2),
      noteLost: (exposures) => ofEither((each) => each.noteLost(exposures, storeMs), storeMs / 2),
      counts: events.counts,
      onError: logError,
    },
    storeEvents,
    startedAtMs: now(),
    onError: logError,
  };
}
