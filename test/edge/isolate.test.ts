/** What an isolate hands to its parts: each its own limit, the right clock, the second backend, a place for what goes wrong. */
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import type { Lookup } from '../../edge/cache/tiered.ts';
import type { Retrieval } from '../../edge/cache/workers-cache.ts';
import { createIsolate, type Isolate, type IsolateOptions } from '../../edge/isolate.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { key } from '../conformance/cache-port.ts';
import { TEST_KEYS } from './stand-in.ts';

const SHORT = 20;
/** No test ends by this one. */
const LONG = 60_000;
const event: HarnessEvent = { type: 'conversion', id: 'event-001', atMs: 1, clickId: 'impression:1', valueMicros: 1 };
const never = () => new Promise<never>(() => undefined);
const refuse = () => Promise.reject(new Error('refused'));
const gone: NonNullable<IsolateOptions['fetch']> = (_, { signal }) =>
  new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)));
const kv = { getWithMetadata: never, put: never };

/** Nothing of it answers. */
const BINDINGS = {
  HARNESS_KEYS: TEST_KEYS,
  BACKEND_URL: 'http://one.example',
  BACKEND_DEADLINE_MS: `${LONG}`,
  EVENT_DEADLINE_MS: `${LONG}`,
  EVENTS: { send: never },
  OUTBOX: { idFromName: () => '', get: () => ({ fetch: never }) },
};

/** With waits that do not end, unless the test says otherwise. */
function isolateOf(bindings: Record<string, unknown> = {}, options: IsolateOptions = {}): Isolate {
  const names = ['configMs', 'killListMs', 'killListCallMs', 'storeMs', 'headCallMs', 'headMs', 'outboxMs', 'ledgerMs'];
  const waits = { ...Object.fromEntries(names.map((name) => [name, LONG])), ...options.waits };
  return createIsolate({ ...BINDINGS, ...bindings }, { fetch: gone, gatherMs: 0, ...options, waits });
}

/** What a request leaves to be done. */
let work: Promise<unknown>[];
const waitUntil = (promise: Promise<unknown>) => void work.push(promise);
let logged: MockInstance<typeof console.error>;
const lines = () => logged.mock.calls.map(([line]) => JSON.parse(line) as Record<string, unknown>);
beforeEach(() => {
  work = [];
  logged = vi.spyOn(console, 'error').mockReturnValue(undefined);
});
afterEach(() => void vi.restoreAllMocks());

describe('a wait ends by its own limit, though no other does', () => {
  const late = (call: Promise<unknown>) => expect(call).rejects.toMatchObject({ code: 'deadline_exceeded' });

  it('of a request for the configuration', () =>
    isolateOf({ KV: kv }, { waits: { configMs: SHORT } }).config.keepUp(waitUntil));

  it('of a request for the kill list', () =>
    isolateOf({}, { waits: { killListMs: SHORT } }).killList.keepUp(waitUntil));

  it('of a request for the ads of the head', async () => {
    const { head } = isolateOf({ KV: kv }, { waits: { headMs: SHORT } });
    expect(await head.find({ query: 'shoes', market: 'us', plan: DEFAULT_CONFIG.plan, waitUntil })).toBeUndefined();
  });

  it("for the backend's kill list", () =>
    late(isolateOf({}, { waits: { killListCallMs: SHORT } }).keeperDependencies.load(0)));

  it("for the backend's configuration", async () => {
    const { config } = isolateOf({ BACKEND_DEADLINE_MS: `${SHORT}` });
    await config.refresh();
    expect(config.state.lastError).toContain(`no answer within ${SHORT} ms`);
  });

  it("for the backend's ads of the head", async () => {
    const { config, head } = isolateOf({}, { waits: { headCallMs: SHORT } });
    config.heard({ configVersion: null, generation: 7 });
    head.keepUp(waitUntil);
    await Promise.all(work);
    expect(head.counts).toMatchObject({ asked: 1, failed: 1 });
  });

  it('for the backend to store events, to say which are missing, and to note those that are lost', async () => {
    const { storeEvents, outboxDependencies } = isolateOf({}, { waits: { storeMs: SHORT } });
    await late(storeEvents([event]));
    await late(outboxDependencies.store([event]));
    await late(outboxDependencies.missing(['event-001']));
    const exposure = { impressionId: 'event-001', experiment: 'one', arm: 'control', atMs: 60_000 };
    await late(outboxDependencies.noteLost([exposure]));
  });

  it('for the queue', async () => {
    const OUTBOX = { idFromName: () => '', get: () => ({ fetch: async () => new Response('{}') }) };
    const { events } = isolateOf({ EVENT_DEADLINE_MS: `${SHORT}`, OUTBOX });
    await events.log(event, waitUntil);
    await expect.poll(() => events.counts.outboxed).toBeGreaterThan(0);
  });

  it('for the outbox, behind which is the backend', async () => {
    const fetch = async () => Response.json({ stored: 1, duplicates: 0, rejected: [] });
    const { events } = isolateOf({ EVENTS: { send: refuse } }, { fetch, waits: { outboxMs: SHORT } });
    expect(await events.log(event, waitUntil)).toBe(true);
    expect(events.counts.direct).toBe(1);
  });

  it('for the ledger', async () => {
    const { ledger } = isolateOf({}, { waits: { ledgerMs: SHORT } });
    ledger.note('event-001', waitUntil);
    await Promise.all(work);
    expect(ledger.state).toMatchObject({ noted: 0, waiting: 1 });
  });
});

describe('a request waits', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  // A list is half a second old at most when nobody waits, and an ad is gone within a second.
  it.each([
    ['killList', 500],
    ['config', 250],
  ] as const)('for the %s of a backend that is silent %i ms', async (part, ms) => {
    const served = vi.fn();
    void createIsolate(BINDINGS, { fetch: never })[part].keepUp(waitUntil).then(served);
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(served).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(served).toHaveBeenCalled();
  });
});

describe('what it goes by is renewed', () => {
  let nowMs: number;
  let calls: string[];
  let held: Promise<void> | undefined;
  let isolate: Isolate;
  beforeEach(() => {
    [nowMs, calls, held] = [1_800_000_000_000, [], undefined];
    isolate = isolateOf(
      {},
      {
        clock: { now: () => nowMs, elapsed: () => nowMs, newId: () => 'id', random: () => 0 },
        fetch: async (url) => {
          calls.push(new URL(url).pathname);
          await held;
          return Response.json(
            new URL(url).pathname === '/v1/kill-list'
              ? { version: 4, generation: 7, adIds: [] }
              : { ...DEFAULT_CONFIG, version: 4 },
          );
        },
      },
    );
  });

  it.each([
    ['kill list', '/v1/kill-list', 250, 500],
    ['configuration', '/v1/config', 1_000, 3_000],
  ])(
    'behind requests where the %s is old, and before them where it is too old',
    async (what, path, oldMs, tooOldMs) => {
      const part = what === 'kill list' ? isolate.killList : isolate.config;
      /** Of a request that is served when nothing but an answer of the backend is still to come. */
      const isServed = async () => {
        const { promise, resolve } = Promise.withResolvers<void>();
        held = promise;
        const kept = part.keepUp(waitUntil).then(() => true);
        const served = await Promise.race([kept, new Promise((resolve) => setImmediate(resolve, false))]);
        resolve();
        await Promise.all([kept, ...work]);
        return served;
      };
      expect([await isServed(), calls]).toEqual([false, [path]]);
      nowMs += oldMs - 1;
      expect([await isServed(), calls.length]).toEqual([true, 1]);
      nowMs += 1;
      expect([await isServed(), calls.length]).toEqual([true, 2]);
      nowMs += tooOldMs - 1;
      expect([await isServed(), calls.length]).toEqual([true, 3]);
      nowMs += tooOldMs;
      expect([await isServed(), calls.length]).toEqual([false, 4]);
    },
  );
});

it('shares the outboxes with other isolates, each its own', async () => {
  const names = new Set<string>();
  const OUTBOX = { idFromName: (name: string) => void names.add(name), get: () => ({ fetch: refuse }) };
  for (const id of ['a', 'b', 'c', 'd']) {
    const clock = { now: Date.now, elapsed: () => 0, newId: () => id, random: () => 0 };
    await expect(isolateOf({ OUTBOX }, { clock }).outboxes.put([event])).rejects.toThrow('refused');
  }
  expect(names.size).toBe(4);
});

describe.each(['fails', 'is silent'])('of two backends, the first of which %s', (how) => {
  const killList = { version: 4, generation: 7, adIds: ['ad-5'] };
  const stored = { stored: 1, duplicates: 0, rejected: [] };
  const head = { generation: 7, atMs: 1_800_000_000_000, ads: [] };
  const exposure = { impressionId: 'event-001', experiment: 'one', arm: 'control', atMs: 60_000 };
  const answers: Record<string, unknown> = {
    '/v1/kill-list': killList,
    '/v1/config': { ...DEFAULT_CONFIG, version: 5 },
    '/v1/head-ads': head,
    '/v1/events': stored,
    '/v1/events:reconcile': { missing: ['event-001'] },
    '/v1/events:missing': { noted: 1 },
  };
  const second: typeof gone = async (url) => {
    const { origin, pathname } = new URL(url);
    if (origin === 'http://two.example') return Response.json(answers[pathname]);
    return how === 'fails' ? refuse() : never();
  };
  const isolate = () =>
    isolateOf(
      { BACKEND_SECOND_URL: 'http://two.example', BACKEND_DEADLINE_MS: `${10 * SHORT}` },
      { fetch: second, waits: { storeMs: 10 * SHORT, headCallMs: 10 * SHORT } },
    );

  it('the second gives the kill list, to requests and to the object of all isolates', async () => {
    const { killList: keeper, keeperDependencies } = isolate();
    await keeper.keepUp(waitUntil);
    expect(keeper.list).toEqual(killList);
    expect(await keeperDependencies.load(0)).toEqual(killList);
  });

  it('the second gives the configuration', async () => {
    const { config } = isolate();
    await config.refresh();
    expect(config.state).toMatchObject({ version: 5, source: 'backend' });
  });

  it('the second stores events, of queue and outbox too, and says which it lacks', async () => {
    const { storeEvents, outboxDependencies } = isolate();
    expect(await storeEvents([event])).toEqual(stored);
    expect(await outboxDependencies.store([event])).toEqual(stored);
    expect(await outboxDependencies.missing(['event-001'])).toEqual(['event-001']);
    await outboxDependencies.noteLost([exposure]);
  });

  it('the second gives the ads of the head', async () => {
    const { config, head: store } = isolate();
    config.heard({ configVersion: null, generation: 7 });
    store.keepUp(waitUntil);
    await Promise.all(work);
    expect([store.counts.failed, store.state?.generation]).toEqual([0, 7]);
  });
});

describe('candidates', () => {
  const load: Lookup['load'] = async () => ({ body: '{}', generation: 7, empty: false });
  const retrieval: Retrieval = {
    key,
    request: { query: 'shoes', normalizerVersion: 1, market: 'us', locale: 'en', plan: DEFAULT_CONFIG.plan },
    ask: { deadlineMs: LONG, urgent: true, since: 0, traceparent: '' },
  };

  it('live by the wall clock, which other isolates have too, also after it was set back; the spread is of the clock', async () => {
    let nowMs = 1_800_000_000_000;
    const clock = { now: () => nowMs, elapsed: () => 0, newId: () => 'id', random: () => 0.5 };
    const timings = { totalMs: 3, encodeMs: 2, searchMs: 1 };
    const answer = { generation: 7, model: 'm', spaceId: '0123456789abcdef', candidates: [], timings };
    const platform = async (url: string, init: RequestInit) => {
      const { body, headers } = await isolate.answerCandidates(new Request(url, init));
      return new Response(body, { headers: [...headers, ['cf-cache-status', 'HIT']] });
    };
    const isolate = isolateOf(
      { WORKERS_CACHE: 'on' },
      { clock, fetch: async () => Response.json(answer), candidates: { fetch: platform } },
    );
    for (const queryHash of ['one', 'other']) {
      const { entry } = await isolate.cache.find({ key: { ...key, queryHash }, load, waitUntil });
      expect([entry.storedAtMs, entry.softUntilMs]).toEqual([nowMs, nowMs + 57_000]);
      expect(await isolate.retrieve(retrieval)).toMatchObject({ cachedAtMs: nowMs });
      nowMs -= 3_600_000;
    }
  });

  it.each([
    ['on', 1, 0],
    ['off', 0, 1],
  ])('are asked for through Workers Caching where that is wanted: %s', async (WORKERS_CACHE, through, direct) => {
    const entrypoint = vi.fn(refuse);
    const fetch = vi.fn(refuse);
    const { retrieve } = isolateOf({ WORKERS_CACHE, HEDGE_SHARE: '0' }, { fetch, candidates: { fetch: entrypoint } });
    await expect(retrieve(retrieval)).rejects.toMatchObject({ code: 'backend_unavailable' });
    expect([entrypoint.mock.calls.length, fetch.mock.calls.length]).toEqual([through, direct]);
  });
});

describe('the log says, in one line of JSON each', () => {
  it('why a configuration was refused', async () => {
    const { config } = isolateOf({}, { fetch: async () => Response.json({ version: 'new' }) });
    await config.refresh();
    expect(lines()).toEqual([
      { level: 'error', message: 'configuration', reason: expect.stringContaining('refused: version: ') },
    ]);
  });

  it('which tier failed', async () => {
    const { cache } = isolateOf({ KV: { getWithMetadata: refuse, put: refuse } });
    const load: Lookup['load'] = async () => ({ body: '{}', generation: 7, empty: false });
    await cache.find({ key, load, waitUntil });
    expect(lines()).toEqual([{ level: 'error', message: 'cache tier kv failed', reason: 'Error: refused' }]);
  });

  it('all the reasons why an event is lost', async () => {
    const EVENTS = { send: () => Promise.reject(new Error('full')) };
    const OUTBOX = { idFromName: () => '', get: () => ({ fetch: () => Promise.reject(new Error('no disk')) }) };
    const { events } = isolateOf({ EVENTS, OUTBOX }, { fetch: refuse });
    expect(await events.log(event, waitUntil)).toBe(false);
    expect(lines()).toContainEqual({
      level: 'error',
      message: expect.stringContaining('event-001 is lost'),
      reason: expect.stringMatching(/full.*; .*no disk.*; .*refused/),
    });
  });
});
