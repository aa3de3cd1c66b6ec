import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Bundle } from '../../../gpu-backend/encoder/bundle.ts';
import { Live } from '../../../gpu-backend/generations/live.ts';
import { closeGeneration, loadGeneration } from '../../../gpu-backend/generations/load.ts';
import { openScanDevice, type ScanDevice } from '../../../gpu-backend/index/scan-device.ts';
import { createRecallCanary } from '../../../gpu-backend/retrieval/recall-canary.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type SmallHouse, smallBundle, smallCatalogue, smallHouse } from '../../fixtures/small-house.ts';
import { sampleAd } from '../../setup/samples.ts';

const at = testFolder('live');
let bundle: Bundle;
/** Built generation 1 into at('data'); its encoder serves all. */
let first: SmallHouse;
/** Opened over generation 1 for each test. */
let house: SmallHouse;
/** What house searches in; absent, graphs. */
let scan: ScanDevice | undefined;

beforeAll(async () => {
  bundle = await smallBundle(at('bundle'));
  first = await smallHouse({ bundle, dataDir: at('data') });
  await first.publisher.build();
});
afterAll(() => first.close());

/** Opens a house in every test of the block around it. */
function openHouse(index: 'hnsw' | 'scan') {
  beforeEach(async () => {
    const onFallback = () => expect.unreachable();
    scan = index === 'scan' ? openScanDevice({ provider: 'cpu', onFallback }) : undefined;
    house = await smallHouse({ bundle, dataDir: at('data'), encoder: first.encoder, scan });
    await house.publisher.start();
  });
  afterEach(() => scan?.close());
}

const everyPlan = [
  { retrievers: ['lexical' as const] },
  { retrievers: ['dense' as const] },
  { retrievers: ['dense' as const, 'lexical' as const] },
];

describe.each(['hnsw', 'scan'] as const)('a change holds for the next query (%s)', (index) => {
  openHouse(index);

  it('pausing: no plan returns the ad again, however it is asked for, until it is active again', async () => {
    const { ad } = house.catalogue.get('sofa-golden')!;
    for (const plan of everyPlan) expect(await house.ids('golden sofa', { market: 'gb', ...plan })).toContain(ad.id);
    await house.put({ ...ad, status: 'paused' });
    for (const plan of everyPlan) {
      expect(await house.ids('golden sofa', { market: 'gb', k: 200, ...plan })).not.toContain(ad.id);
    }
    await house.put(ad);
    for (const plan of everyPlan) expect(await house.ids('golden sofa', { market: 'gb', ...plan })).toContain(ad.id);
  });

  it('a new ad: found by its words and by its meaning, in its markets only', async () => {
    await house.put(sampleAd({ id: 'new', title: 'golden couch', description: '', keywords: [], markets: ['us'] }));
    for (const plan of everyPlan) {
      expect((await house.ids('golden couch', plan))[0]).toBe('new');
      expect(await house.ids('golden couch', { market: 'gb', k: 200, ...plan })).not.toContain('new');
    }
    expect(await house.ids('golden sofa', { retrievers: ['dense'], k: 3 })).toContain('new');
  });

  it('a new text: found by the new words, no longer by the old', async () => {
    const { ad } = house.catalogue.get('ring-red')!;
    await house.put({ ...ad, title: 'white kettle', keywords: [] });
    expect((await house.ids('white kettle', { market: ad.markets[0]! })).slice(0, 2)).toContain(ad.id);
    expect(await house.ids('ring', { market: ad.markets[0]!, retrievers: ['lexical'] })).not.toContain(ad.id);
    const rings = await house.ids('red ring', { market: ad.markets[0]!, retrievers: ['dense'], k: 3 });
    expect(rings).not.toContain(ad.id);
  });

  it('new keywords, bid and markets: found by the keyword, at the new bid, where it is booked', async () => {
    const { ad } = house.catalogue.get('sofa-red')!;
    expect(ad.markets).toEqual(['us']);
    await house.put({
      ...ad,
      keywords: [{ text: 'chesterfield', match: 'broad' }],
      bidMicros: 777,
      markets: ['gb'],
    });
    const { candidates } = await house.ask('chesterfield', { market: 'gb', retrievers: ['lexical'] });
    expect(candidates.map(({ adId, bidMicros }) => [adId, bidMicros])).toEqual([['sofa-red', 777]]);
    for (const plan of everyPlan) {
      expect(await house.ids('red sofa', { market: 'us', k: 200, ...plan })).not.toContain('sofa-red');
      expect(await house.ids('red sofa', { market: 'gb', k: 200, ...plan })).toContain('sofa-red');
    }
  });

  it('deleting: gone, also when an older change arrives afterwards', async () => {
    const { ad, revision } = house.catalogue.get('sofa-red')!;
    house.remove('sofa-red');
    house.live.applyUpsert(ad, revision + 1);
    const stale = house.live.stats().stale;
    house.live.applyUpsert(ad, revision);
    expect(house.live.stats().stale).toBe(stale + 1);
    for (const plan of everyPlan) expect(await house.ids('red sofa', { k: 200, ...plan })).not.toContain('sofa-red');
  });

  it('a text without a vector yet: found by its words, with relevance from them', async () => {
    house.live.applyUpsert(sampleAd({ id: 'wordy', title: 'violet sofa', markets: ['us'] }), 1000);
    const { candidates } = await house.ask('violet sofa');
    const wordy = candidates.find(({ adId }) => adId === 'wordy')!;
    expect(wordy.sources.map(({ retriever }) => retriever)).toEqual(['lexical']);
    expect(wordy.relevance).toBe(1);
  });
});

describe('the scan on the device', () => {
  openHouse('scan');

  it('answers as the graph does after any changes', async () => {
    const graph = await smallHouse({ bundle, dataDir: at('data'), encoder: first.encoder });
    await graph.publisher.start();
    const ads = smallCatalogue();
    const change = fc.record({
      ad: fc.constantFrom(...ads),
      kind: fc.constantFrom('active', 'paused', 'reworded', 'moved', 'delete'),
    });
    const query = fc.constantFrom('red sofa', 'golden couch', 'white kettle', 'automobile', 'lantern');
    const changed = (ad: Ad, kind: string): Ad => ({
      ...ad,
      ...(kind === 'paused' && { status: 'paused' }),
      ...(kind === 'reworded' && { title: `golden ${ad.title}` }),
      ...(kind === 'moved' && { markets: ad.markets.includes('us') ? ['gb'] : ['us'] }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 6 }), query, fc.integer({ min: 1, max: 40 }), async (...run) => {
        const [changes, asked, k] = run;
        for (const each of [house, graph])
          for (const { ad, kind } of changes)
            if (kind === 'delete') each.remove(ad.id);
            else await each.put(changed(ad, kind));
        for (const market of ['us', 'gb']) {
          const plan = { market, k, retrievers: ['dense' as const] };
          const [here, there] = [await house.ask(asked, plan), await graph.ask(asked, plan)];
          expect(here.candidates).toEqual(there.candidates);
        }
      }),
      { seed: 8, numRuns: 25 },
    );
    expect(scan!.stats().queries).toBeGreaterThan(25);
  });

  it('runs once for queries that come together', async () => {
    const { queries, batches } = scan!.stats();
    await Promise.all(['red sofa', 'couch', 'lamp', 'ring', 'coat'].map((query) => house.ids(query)));
    expect(scan!.stats().queries - queries).toBe(5);
    expect(scan!.stats().batches - batches).toBeLessThan(5);
  });

  it('is what the gate and the recall canary measure', async () => {
    const other = await smallHouse({ bundle, dataDir: at('measured'), encoder: first.encoder, scan });
    expect(await other.publisher.build()).toMatchObject({ status: 'live', recall: 1 });
    const { queries } = scan!.stats();
    expect(queries).toBeGreaterThan(0);
    const canary = createRecallCanary({ live: other.live, encoder: first.encoder });
    canary.observe({ query: 'sofa', market: 'us', plan: { retrievers: ['dense'], k: 10, minRelevance: 0 } });
    await canary.run(new AbortController().signal);
    expect(canary.stats()).toEqual({ recall: 1, queries: 1 });
    expect(scan!.stats().queries).toBe(queries + 1);
  });

  it('lets go of a generation that is replaced, refused, or loaded for a look only', async () => {
    const markets = (count: number) => expect.poll(() => scan!.stats().markets).toBe(count);
    const other = await smallHouse({ bundle, dataDir: at('replaced'), encoder: first.encoder, scan });
    await other.publisher.build();
    await markets(2 + 2);
    await other.publisher.build();
    await markets(2 + 2);
    await other.publisher.rollback(1);
    await markets(2 + 2);
    for (const { id } of smallCatalogue().slice(0, 25)) other.catalogue.delete(id);
    await expect(other.publisher.build()).rejects.toMatchObject({ code: 'gate_failed' });
    await markets(2 + 2);
    await writeFile(join(other.store.folder(3), 'ads.jsonl'), ''); // the live one
    const { loaded, problems } = await other.store.openLive({ spaceId: bundle.manifest.spaceId, nowMs: 0 });
    expect(problems.map(({ number }) => number)).toEqual([3]);
    await markets(2 + 2 + 2);
    await closeGeneration(loaded!);
    await markets(2 + 2);
  });
});

describe('Live', () => {
  const generation = () => loadGeneration(first.store.folder(1), bundle.manifest);

  it('refuses a generation of another space', async () => {
    const other = new Live({ spaceId: 'ffffffffffffffff' });
    const loaded = await generation();
    await expect(other.swap(loaded)).rejects.toThrow(/cannot be compared/);
    expect(other.view).toBeUndefined();
  });

  it('keeps every change that a newer generation does not hold, in any order of arrival', async () => {
    const ads = smallCatalogue().slice(0, 4);
    const change = fc.record({
      ad: fc.integer({ min: 0, max: ads.length - 1 }),
      kind: fc.constantFrom('active', 'paused', 'delete'),
    });
    // Loading is slow beside the property, so a few generations serve many runs, one after the other.
    const loaded = await Promise.all(Array.from({ length: 30 }, generation));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), fc.infiniteStream(fc.nat()), async (history, shuffle) => {
        const live = new Live(bundle.manifest);
        const changes = history.map((entry, i) => ({ ...entry, revision: 2 + i, at: shuffle.next().value! }));
        const arrived = changes.toSorted((a, b) => a.at - b.at);
        const swapAt = Math.floor(arrived.length / 2);
        const apply = (entry: (typeof arrived)[number]) => {
          const ad = ads[entry.ad]!;
          if (entry.kind === 'delete') live.applyDelete(ad.id, entry.revision);
          else live.applyUpsert({ ...ad, status: entry.kind as 'active' | 'paused' }, entry.revision);
        };
        for (const entry of arrived.slice(0, swapAt)) apply(entry);
        await live.swap(loaded.pop()!);
        for (const entry of arrived.slice(swapAt)) apply(entry);
        const found = new Set(
          ['us', 'gb'].flatMap((market) =>
            live
              .view!.lexical('sofa', { market, limit: 100, admits: () => true })
              .hits.map(({ slot }) => live.view!.ad(slot).id),
          ),
        );
        for (const [i, ad] of ads.entries()) {
          const last = changes.findLast((entry) => entry.ad === i);
          expect([ad.id, found.has(ad.id)]).toEqual([ad.id, last === undefined || last.kind === 'active']);
        }
      }),
      { seed: 6, numRuns: 30 },
    );
  });

  it('remembers a deletion over one generation, whose snapshot may be older, and not for ever', async () => {
    const live = new Live(bundle.manifest);
    await live.swap(await generation()); // of revision 1
    live.applyDelete('gone', 1);
    live.applyDelete('sofa-red', 2);
    expect(live.stats().changes).toBe(2);
    await live.swap(await generation());
    expect([live.stats().changes, live.view!.has('sofa-red')]).toEqual([1, false]);
    live.applyUpsert(smallCatalogue().find(({ id }) => id === 'sofa-red')!, 1);
    expect([live.stats().stale, live.view!.has('sofa-red')]).toEqual([1, false]);
  });

  it('goes by what is newer, the change or the generation', async () => {
    const live = new Live(bundle.manifest);
    const loaded = await generation();
    const { ad } = loaded.ads.find((entry) => entry.ad.id === 'sofa-red')!;
    await live.swap(await generation());
    live.applyUpsert({ ...ad, bidMicros: 5 }, 6);
    live.applyUpsert({ ...ad, bidMicros: 6 }, 6); // told twice
    expect([live.stats().stale, live.view!.find(ad.id)!.bidMicros]).toEqual([1, 5]);
    await live.swap({ ...loaded, ads: loaded.ads.map((entry) => ({ ...entry, revision: 7 })) });
    expect([live.stats().changes, live.view!.find(ad.id)]).toEqual([0, ad]);
    live.applyUpsert({ ...ad, status: 'paused' }, 6);
    expect([live.stats().stale, live.view!.find(ad.id)]).toEqual([2, ad]);
  });

  it('hands the vector of a change on to the next generation, while the text is the same', async () => {
    const live = new Live(bundle.manifest);
    const query = new Float32Array(first.encoder.dimension);
    query[0] = 1;
    const hasVector = () =>
      live
        .view!.dense(query, [], { market: 'us', limit: 9, admits: () => true })
        .some(({ row }) => live.view!.ad(row).id === 'new');
    const ad = sampleAd({ id: 'new' });
    await live.swap(await generation());
    live.applyUpsert(ad, 2, { components: new Int8Array(query.length).fill(1), source: 'uploaded' });
    live.applyUpsert({ ...ad, bidMicros: 5 }, 3);
    expect(hasVector()).toBe(true);
    await live.swap(await generation());
    expect([live.view!.find('new')!.bidMicros, hasVector()]).toEqual([5, true]);
    live.applyUpsert({ ...ad, title: 'another' }, 4);
    expect(hasVector()).toBe(false);
    await live.swap(await generation());
    expect([live.view!.find('new')!.title, hasVector()]).toEqual(['another', false]);
  });

  it('lets others run while it puts what came since onto a generation, and misses nothing that comes meanwhile', async () => {
    const live = new Live(bundle.manifest);
    await live.swap(await generation());
    // So many that putting them takes longer than a turn on any machine.
    for (let i = 0; i < 1_000; i++) live.applyUpsert(sampleAd({ id: `n${i}` }), 2 + i);
    const before = live.view;
    const swapping = live.swap(await generation());
    await new Promise((resolve) => setImmediate(resolve));
    expect(live.view).toBe(before);
    live.applyDelete('n0', 3_000);
    live.applyUpsert(sampleAd({ id: 'n1', status: 'paused' }), 3_001);
    live.applyUpsert(sampleAd({ id: 'meanwhile' }), 3_002);
    await swapping;
    expect(live.view).not.toBe(before);
    expect([live.view!.has('n0'), live.view!.find('n1')!.status, live.view!.has('meanwhile')]).toEqual([
      false,
      'paused',
      true,
    ]);
    expect(live.stats()).toMatchObject({ delta: 1_000, changes: 1_001 });
  });

  it('ends as if nothing had come while it put, whatever comes in between: more of the same ads, deletions, returns', async () => {
    const live = new Live(bundle.manifest);
    await live.swap(await generation()); // of revision 1
    const expected = new Map<string, { revision: number; status: string } | undefined>();
    let revision = 1;
    const change = (i: number, kind: number) => {
      const [id, status] = [`n${i}`, kind === 1 ? ('paused' as const) : ('active' as const)];
      revision++;
      if (kind === 2) live.applyDelete(id, revision);
      else live.applyUpsert(sampleAd({ id, status }), revision);
      expected.set(id, kind === 2 ? undefined : { revision, status });
    };
    for (let i = 0; i < 2_000; i++) change(i, i % 3);
    let swapped = false;
    const next = await generation();
    const swapping = live.swap(next).then(() => {
      swapped = true;
    });
    let looks = 0;
    for (; !swapped; looks++) {
      // Of those that were put already, of those that were not, and new ones; each of them changes again and again.
      for (const i of [0, 1, 2, 999, 1_000, 1_998, 1_999, 2_000 + looks]) change(i, (looks + i) % 3);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await swapping;
    expect(looks).toBeGreaterThan(1);
    change(5, 0);
    const view = live.view!;
    for (const [id, ad] of expected)
      expect([id, view.revisionOf(id), view.find(id)?.status]).toEqual([id, ad?.revision, ad?.status]);
    expect(live.stats().changes).toBe(expected.size);
    // And the generation after it is told the same.
    await live.swap(await generation());
    for (const [id, ad] of expected) expect([id, live.view!.revisionOf(id)]).toEqual([id, ad?.revision]);
  });

  it('counts the ads that a bulk load leaves for the next generation until there is one that has them', async () => {
    const live = new Live(bundle.manifest);
    await live.swap(await generation()); // of revision 1
    live.leave({ revision: 1, ads: 50 });
    for (let twice = 0; twice < 2; twice++) live.leave({ revision: 4, ads: 60 });
    expect(live.stats()).toMatchObject({ ads: 36, delta: 60 });
    await live.swap(await generation(), {
      changed: [],
      gone: [],
      left: [
        { revision: 4, ads: 55 },
        { revision: 5, ads: 7 },
      ],
    });
    expect(live.stats().delta).toBe(62);
    const later = await generation();
    await live.swap({ ...later, ads: later.ads.map((entry) => ({ ...entry, revision: 4 })) });
    expect(live.stats().delta).toBe(7);
  });

  it('counts what is searched outside the index', async () => {
    const live = new Live(bundle.manifest);
    await live.swap(await generation());
    expect(live.stats()).toMatchObject({ generation: 1, ads: 36, delta: 0, swaps: 1 });
    live.applyUpsert(sampleAd({ id: 'new' }), 2);
    live.applyUpsert(sampleAd({ id: 'new', title: 'changed' }), 3);
    expect(live.stats()).toMatchObject({ ads: 37, delta: 1 });
  });
});

describe.each(['hnsw', 'scan'] as const)('a swap under queries (%s)', (index) => {
  openHouse(index);

  it('never mixes generations: what an answer holds is of the generation that it names', async () => {
    // In generation g every sofa is priced g; the bid shows where a candidate came from.
    const priced = await smallHouse({ bundle, dataDir: at(`priced-${index}`), encoder: first.encoder, scan });
    const price = (bidMicros: number) => {
      for (const [id, { ad, revision }] of priced.catalogue) {
        priced.catalogue.set(id, { ad: { ...ad, bidMicros }, revision: revision + 1 });
      }
    };
    price(1);
    await priced.publisher.build();
    let building = true;
    const seen = new Set<number>();
    const publishing = (async () => {
      for (let number = 2; number <= 5; number++) {
        price(number);
        await priced.publisher.build();
        await expect.poll(() => seen.has(number)).toBe(true); // however slow the queries are
      }
      building = false;
    })();
    while (building) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => priced.ask('red sofa')));
      for (const { generation, candidates } of answers) {
        expect(new Set(candidates.map(({ bidMicros }) => bidMicros))).toEqual(new Set([generation]));
        seen.add(generation);
      }
    }
    await publishing;
    expect([...seen].filter((number) => number > 1)).toEqual([2, 3, 4, 5]);
  });

  it('searches what is live when the query is encoded, not what was live when it came', async () => {
    const next = await loadGeneration(first.store.folder(1), { ...bundle.manifest, scan });
    const answer = house.ask('red sofa', { k: 100 });
    await house.live.swap({ ...next, manifest: { ...next.manifest, number: 9 } });
    house.live.applyUpsert({ ...house.catalogue.get('sofa-red')!.ad, status: 'paused' }, 60);
    const { generation, candidates } = await answer;
    expect(generation).toBe(9);
    expect(candidates.map(({ adId }) => adId)).not.toContain('sofa-red');
  });

  it('keeps a change that was made while the generation was being built', async () => {
    const busy = await smallHouse({ bundle, dataDir: at(`busy-${index}`), encoder: first.encoder, scan });
    await busy.publisher.build();
    const build = busy.publisher.build({
      onProgress: (phase, done, total) => {
        if (phase !== 'index' || done !== total) return;
        busy.live.applyDelete('car-red', 50);
        busy.live.applyUpsert({ ...busy.catalogue.get('sofa-red')!.ad, status: 'paused' }, 51);
        busy.live.applyUpsert(sampleAd({ id: 'late', title: 'late sofa', markets: ['us'] }), 52);
      },
    });
    expect((await build).number).toBe(2);
    const sofas = await busy.ids('sofa', { k: 100 });
    expect(sofas).toContain('late');
    expect(sofas).not.toContain('sofa-red');
    expect(await busy.ids('red car', { k: 100 })).not.toContain('car-red');
  });
});
