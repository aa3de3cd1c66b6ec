/** Who keeps a refresh of the configuration alive, the request that began it and nobody else; and what one goes by while the backend is away. */
import { describe, expect, it } from 'vitest';
import type { EntryNamespace } from '../../edge/cache/kv.ts';
import { kvSnapshot } from '../../edge/config-snapshot.ts';
import { ConfigStore } from '../../edge/config-store.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';

const TIMES = { refreshMs: 1_000, staleMs: 3_000, waitMs: 0 };

/** A store whose loads never end, like those of a request that died. */
function deadStore() {
  let [nowMs, loads] = [0, 0];
  const load = () => {
    loads += 1;
    return new Promise(() => undefined);
  };
  const store = new ConfigStore({
    ...TIMES,
    bundled: DEFAULT_CONFIG,
    load,
    now: () => nowMs,
    onError: () => undefined,
  });
  /** A request at a time; resolves with how many works it was given to stay for. */
  const request = async (atMs: number) => {
    nowMs = atMs;
    let works = 0;
    await store.keepUp(() => {
      works += 1;
    });
    return works;
  };
  return { store, request, loads: () => loads };
}

it("holds no request to another one's refresh, old or newly heard of", async () => {
  const { store, request, loads } = deadStore();
  expect(await request(0)).toBe(1);
  expect(await request(TIMES.refreshMs)).toBe(0);
  store.heard({ configVersion: DEFAULT_CONFIG.version + 1, generation: null });
  expect(await request(TIMES.refreshMs + 1)).toBe(0);
  expect(loads()).toBe(1);
});

it('begins anew when a refresh died with its request', async () => {
  const { request, loads } = deadStore();
  expect(await request(0)).toBe(1);
  expect(await request(2 * TIMES.staleMs - 1)).toBe(0);
  expect(await request(2 * TIMES.staleMs)).toBe(1);
  expect(loads()).toBe(2);
});

it('goes back to no older generation, which a newer configuration may name that was longer on its way', async () => {
  const config = { ...DEFAULT_CONFIG, version: DEFAULT_CONFIG.version + 1, generation: 7 };
  const load = async () => config;
  const store = new ConfigStore({ ...TIMES, bundled: DEFAULT_CONFIG, load, now: () => 0, onError: () => undefined });
  store.heard({ configVersion: null, generation: 8 });
  await store.refresh();
  expect(store.state).toMatchObject({ version: config.version, source: 'backend', generation: 8 });
});

const away = () => Promise.reject(new Error('away'));
const KEPT = { ...DEFAULT_CONFIG, version: DEFAULT_CONFIG.version + 1 };

function storeOver({ load, read }: { load: () => Promise<unknown>; read: () => Promise<unknown> }) {
  const said: string[] = [];
  const store = new ConfigStore({
    ...TIMES,
    bundled: DEFAULT_CONFIG,
    load,
    snapshot: { read, write: async () => true },
    now: () => 0,
    onError: (message) => said.push(message),
  });
  return { store, said };
}

it('reads the snapshot until it was read, and then no more', async () => {
  let reads = 0;
  const { store, said } = storeOver({ load: away, read: () => (++reads < 3 ? away() : Promise.resolve(KEPT)) });
  for (const [source, read] of [
    ['bundled', 1],
    ['bundled', 2],
    ['kv', 3],
    ['kv', 3],
  ]) {
    await store.refresh();
    expect([store.state.source, reads]).toEqual([source, read]);
  }
  expect(said).toEqual(['KV: not read: away', 'not refreshed: away']);
});

it('waits for the snapshot when the backend offers what is refused', async () => {
  const slow = Promise.withResolvers<unknown>();
  const { store } = storeOver({ load: async () => ({ version: 'broken' }), read: () => slow.promise });
  const refreshed = store.refresh();
  setTimeout(() => slow.resolve(KEPT), 0);
  await refreshed;
  expect(store.state).toMatchObject({ source: 'kv', version: KEPT.version, refused: 1 });
  expect(store.state.lastError).toContain('refused');
});

describe('the snapshot of a configuration that changes every second', () => {
  const away = () => Promise.reject(new Error('KV is away'));

  /** Isolates over one KV; a request that one meets in a second tells of that second's version. */
  async function changing(
    seconds: number,
    {
      isolates = 1,
      put = async (): Promise<void> => undefined,
      meets = (_isolate: number, _second: number): boolean => true,
    } = {},
  ) {
    let nowMs = 1_800_000_000_000;
    let kept: { value: string; metadata: unknown } | undefined;
    const writes: { version: number; second: number }[] = [];
    const said: string[] = [];
    const second = () => (nowMs - 1_800_000_000_000) / 1_000;
    const namespace: EntryNamespace = {
      getWithMetadata: async () => kept ?? { value: null, metadata: null },
      put: async (_, value, { metadata }) => {
        writes.push({ version: JSON.parse(value).version, second: second() });
        await put();
        kept = { value, metadata };
      },
    };
    const stores = Array.from(
      { length: isolates },
      () =>
        new ConfigStore({
          ...TIMES,
          bundled: DEFAULT_CONFIG,
          load: async () => ({ ...DEFAULT_CONFIG, version: Math.min(second(), seconds) + 1 }),
          snapshot: kvSnapshot(namespace, () => nowMs),
          now: () => nowMs,
          onError: (message) => said.push(message),
        }),
    );
    for (let i = 0; i < seconds + 120; i++, nowMs += 1_000) {
      for (const [isolate, store] of stores.entries()) {
        if (!meets(isolate, i)) continue;
        const work: Promise<unknown>[] = [];
        await store.keepUp((promise) => void work.push(promise));
        await Promise.all(work);
      }
    }
    return { writes, said };
  }

  it.each([1, 20])('is written once a minute by %i isolates, the last version too', async (isolates) => {
    const { writes } = await changing(180, { isolates, meets: (isolate, second) => second >= 3 * isolate });
    expect(writes.map(({ second }) => second)).toEqual([0, 60, 120, 180]);
    expect(writes.at(-1)!.version).toBe(181);
  });

  it('is written by an isolate that has to wait for the write of another, which may be gone by then', async () => {
    const { writes } = await changing(5, {
      isolates: 2,
      meets: (isolate, second) => (isolate === 0 ? second === 0 : second >= 5),
    });
    expect(writes).toEqual([
      { version: 1, second: 0 },
      { version: 6, second: 65 },
    ]);
  });

  it('is written a minute later where KV did not take it', async () => {
    let puts = 0;
    const put = () => (++puts === 1 ? away() : Promise.resolve());
    const { writes, said } = await changing(0, { put });
    expect(writes).toEqual([
      { version: 1, second: 0 },
      { version: 1, second: 60 },
    ]);
    expect(said).toEqual(['KV: not written: KV is away']);
  });
});
