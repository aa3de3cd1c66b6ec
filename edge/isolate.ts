/**
 * What lives as long as the isolate: settings, caches, configuration, counters. The one place of the Worker that names
 * adapters; everything else receives it.
 */
import { LRUCache } from 'lru-cache';
import type { EventBatchResult, HarnessEvent } from '../shared/contract/events.ts';
import type { Rung } from '../shared/contract/query-route.ts';
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import { Backend } from './backend.ts';
import type { CachePort } from './cache/cache-port.ts';
import { ColoCache, type ResponseCache } from './cache/colo.ts';
import { KvCache } from './cache/kv.ts';
import { MemoryCache } from './cache/memory.ts';
import { type Loaded, TieredCache } from './cache/tiered.ts';
import { answerCandidates, askThrough, type Entrypoint, type Retrieval } from './cache/workers-cache.ts';
import { kvSnapshot } from './config-snapshot.ts';
import { ConfigStore } from './config-store.ts';
import { type EdgeBindings, type EdgeSettings, type RateLimit, readSettings } from './env.ts';
import { directDelivery, EventLog } from './events.ts';
import { GroupedQueue } from './grouped-queue.ts';
import { kvShelf } from './head/head-shelf.ts';
import { HEAD_MAX_AGE_MS, HeadStore } from './head/head-store.ts';
import { Ledger } from './ledger.ts';
import { ledgerEntry } from './outbox/ledger-entry.ts';
import type { OutboxWorld } from './outbox/outbox.ts';
import { Outboxes } from './outbox/outboxes.ts';
import { CircuitBreaker } from './resilience/circuit-breaker.ts';
import { HedgeBudget, LatencyQuantile } from './resilience/hedge.ts';
import { type Ask, Origins } from './resilience/origins.ts';
import type { Serving } from './serving.ts';
import { Slates } from './slates.ts';
import { type BundleFiles, loadStudent } from './student/load.ts';
import { QueryEncoder } from './student/query-encoder.ts';
import { KillListKeeper } from './takedown/kill-list.ts';
import type { KeeperWorld } from './takedown/kill-list-object.ts';
import { servingNow } from './takedown/serving-now.ts';
import { askSources } from './takedown/sources.ts';

export const VERSION = '0.1.0';

/** Longest that storing events may take. */
const STORE_DEADLINE_MS = 10_000;
/** Of the backend, when it is asked for the kill list. */
const KILL_LIST_DEADLINE_MS = 1_000;
/** Of the backend, when it is asked for the head's ads. */
const HEAD_DEADLINE_MS = 10_000;
/** Together less than the second within which a taken-down ad is gone: its list's age and a request's wait for a newer. */
const KILL_LIST = { refreshMs: 250, boundMs: 500, waitMs: 500 };
/** A query is of the head when this isolate met it so often among its last tens of thousands. */
const HEAD_COUNT = 5;
/** Longest that an event waits for others to share a call to the queue while one is in the air. */
const GATHER_EVENTS_MS = 5;
/** How long an event waits for others where they come by the hundred a second: a call to the queue costs as much as an answer. */
const LINGER_EVENTS_MS = 1;
/** Visitors whose cookies need no second look: about 3 MB, which a `max` would lay out at the start. */
const VISITORS = 10_000;
/** Longest wait for KV on the way to the backend. */
const KV_READ_MS = 20;

/** Of retrieval: an origin that fails is left alone for two seconds, then probed. */
const BREAKER = { windowMs: 10_000, minFailures: 5, failureShare: 0.5, openMs: 2_000, probes: 2 };
/** A call slower than most is made again, and at most so many again in a row. */
const LATENCY = { quantile: 0.95, size: 256, least: 20 };
const HEDGES_AT_ONCE = 10;

/** Time and chance, passed in. */
export interface Clock {
  /** UTC milliseconds. */
  now: () => number;
  /** Milliseconds from some start, for durations. */
  elapsed: () => number;
  newId: () => string;
  /** Uniform in [0, 1). */
  random: () => number;
}

/** Hono's types for this application. */
export interface EdgeContext {
  Bindings: EdgeBindings;
  Variables: { requestId: string };
}

export interface Isolate {
  settings: EdgeSettings;
  clock: Clock;
  backend: Backend;
  /** Where candidates are asked for. */
  origins: Origins;
  config: ConfigStore;
  /** Unit ids of visitors who were here lately, by their cookies. */
  visitors: LRUCache<string, string>;
  killList: KillListKeeper;
  /** What the next request is served by. */
  serving: () => Serving;
  /** For the kill list's object, where it runs in this isolate. */
  keeperWorld: KeeperWorld;
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
  limiter: RateLimit | undefined;
  outboxes: Outboxes;
  /** For the outbox, where it runs in this isolate. */
  outboxWorld: OutboxWorld;
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
  /** Longest wait of a request for a newer kill list. */
  killListWaitMs?: number;
}

const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  newId: () => crypto.randomUUID(),
  random: () => Math.random(),
};

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
  const second = settings.secondBackendUrl;
  const origins = new Origins({
    origins: [backend, ...(second === undefined ? [] : [backendAt(second)])].map((origin) => ({
      backend: origin,
      breaker: new CircuitBreaker({ ...BREAKER, now, probeMs: 2 * settings.backendDeadlineMs }),
    })),
    budget: new HedgeBudget({ share: settings.hedgeShare, most: HEDGES_AT_ONCE }),
    latency: new LatencyQuantile(LATENCY),
    elapsed: clock.elapsed,
  });
  const student = studentOf(env.STUDENT, options.kernel, now);
  /** Of the origins, with the query's vector where a student makes it. */
  const askOrigins = (request: Retrieval['request'], ask: Ask): Promise<Loaded> =>
    student === undefined
      ? origins.retrieve(request, ask)
      : student.asking((asked) => origins.retrieve(asked, ask), request);
  const config = new ConfigStore({
    bundled: DEFAULT_CONFIG,
    load: () => backend.config(settings.backendDeadlineMs),
    snapshot: env.KV === undefined ? undefined : kvSnapshot(env.KV),
    now,
    refreshMs: 1_000,
    staleMs: 3_000,
    waitMs: 250,
    onError: (message) => logError('configuration', message),
  });
  const loadKillList = () => backend.killList(KILL_LIST_DEADLINE_MS);
  const killList = new KillListKeeper({
    ask: askSources({ objects: env.KILL_LIST, load: loadKillList }),
    now,
    ...KILL_LIST,
    ...(options.killListWaitMs === undefined ? {} : { waitMs: options.killListWaitMs }),
    onError: logError,
  });
  const storeEvents = (events: readonly HarnessEvent[]) => backend.storeEvents(events, STORE_DEADLINE_MS);
  const memory = new MemoryCache({ maxBytes: settings.cacheMemoryBytes, now });
  const isHead = (path: string) => memory.asked(path) >= HEAD_COUNT;
  const tiers: CachePort[] = [memory];
  if (options.openCache !== undefined) tiers.push(new ColoCache({ open: options.openCache, now }));
  if (env.KV !== undefined) tiers.push(new KvCache({ namespace: env.KV, isHead, now, readMs: KV_READ_MS }));
  const lives = {
    softMs: settings.cacheSoftMs,
    revalidateMs: settings.cacheRevalidateMs,
    hardMs: settings.cacheHardMs,
    emptyShare: 0.25,
  };
  const through = settings.workersCache ? options.candidates : undefined;
  const outboxes = new Outboxes(env.OUTBOX, clock.newId());
  const ledger = new Ledger({
    write: (ids) => outboxes.note(ids),
    gatherMs: options.gatherMs ?? 1_000,
    onError: logError,
  });
  const events = new EventLog({
    queue: new GroupedQueue({ queue: env.EVENTS, now, gatherMs: GATHER_EVENTS_MS, lingerMs: LINGER_EVENTS_MS }),
    park: (parked) => outboxes.put(parked),
    direct: directDelivery(storeEvents),
    note: (event, waitUntil) => ledger.note(ledgerEntry(event), waitUntil),
    deadlineMs: settings.eventDeadlineMs,
    outboxTimeoutMs: 2_000,
    now,
    onError: logError,
  });
  return {
    settings,
    clock,
    backend,
    origins,
    config,
    visitors: new LRUCache({ maxSize: VISITORS, sizeCalculation: () => 1 }),
    killList,
    serving: servingNow({ config, killList }),
    keeperWorld: { now, load: loadKillList, onError: logError },
    memory,
    cache: new TieredCache({
      tiers,
      now,
      random: clock.random,
      ...lives,
      followMs: settings.backendDeadlineMs / 2,
      onTierError: (status, error) => logError(`cache tier ${status} failed`, error),
    }),
    student,
    retrieve: (retrieval) =>
      through === undefined ? askOrigins(retrieval.request, retrieval.ask) : askThrough(through, retrieval),
    answerCandidates: (request) => answerCandidates(request, { retrieve: askOrigins, lives, now }),
    head: new HeadStore({
      load: () => backend.headAds(HEAD_DEADLINE_MS),
      shelf: env.KV === undefined ? undefined : kvShelf(env.KV, { ttlSeconds: HEAD_MAX_AGE_MS / 1_000 }),
      generation: () => Math.max(config.generation ?? 0, killList.list.generation ?? 0) || null,
      now,
      random: clock.random,
      onError: logError,
    }),
    slates: new Slates(settings.keys),
    rungs: { fresh: 0, stale: 0, hedge: 0, head: 0, empty: 0 },
    limiter: env.RATE_LIMIT,
    events,
    outboxes,
    outboxWorld: {
      now,
      store: storeEvents,
      missing: (ids) => backend.missingEvents(ids, STORE_DEADLINE_MS),
      noteLost: (exposures) => backend.noteLost(exposures, STORE_DEADLINE_MS),
      counts: events.counts,
      onError: logError,
    },
    storeEvents,
    startedAtMs: now(),
    onError: logError,
  };
}
