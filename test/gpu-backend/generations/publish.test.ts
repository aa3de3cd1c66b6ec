import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Bundle } from '../../../gpu-backend/encoder/bundle.ts';
import { GATE } from '../../../gpu-backend/generations/gate.ts';
import { createPublisher, type Phase } from '../../../gpu-backend/generations/publish.ts';
import { createVectorLadder } from '../../../gpu-backend/generations/vectors.ts';
import { quantize } from '../../../gpu-backend/index/vector-rows.ts';
import { type Ad, MOST_IN_BATCH } from '../../../shared/contract/ads.ts';
import { HarnessError } from '../../../shared/problem.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type SmallHouse, smallBundle, smallCatalogue, smallHouse } from '../../fixtures/small-house.ts';
import { sampleAd } from '../../setup/samples.ts';

const at = testFolder('publish');
const houses: SmallHouse[] = [];
let bundle: Bundle;
let made = 0;

beforeAll(async () => {
  bundle = await smallBundle(at('bundle'));
});
afterEach(async () => {
  await Promise.all(houses.splice(0).map((house) => house.close()));
});

async function openHouse(dataDir = at(`house-${made++}`)): Promise<SmallHouse> {
  const house = await smallHouse({ bundle, dataDir });
  houses.push(house);
  return house;
}

describe('publication', () => {
  it('builds, checks, publishes and serves, reporting progress', async () => {
    const house = await openHouse();
    const phases: Phase[] = [];
    const generation = await house.publisher.build({ onProgress: (phase) => phases.push(phase) });
    expect(generation).toMatchObject({ number: 1, status: 'live', ads: 36, model: 'tiny-1', recall: 1 });
    expect([...new Set(phases)]).toEqual(['vectors', 'index', 'check']);
    const manifest = JSON.parse(await readFile(join(house.store.folder(1), 'manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({
      ...{ markets: { gb: 24, us: 24 }, vectors: { bundle: 36, student: 0, uploaded: 0 } },
      expansionSearch: { gb: 64, us: 64 },
    });
    expect((await house.ids('red sofa', { k: 1 }))[0]).toBe('sofa-red');
  });

  it('gives numbers that only grow, a rollback included', async () => {
    const house = await openHouse();
    const numbers = [
      await house.publisher.build(),
      await house.publisher.build(),
      await house.publisher.rollback(1),
      await house.publisher.build(),
    ].map(({ number }) => number);
    expect(numbers).toEqual([1, 2, 3, 4]);
    expect((await house.store.list()).live).toBe(4);
  });

  it('rolls back the index, never the catalogue: what was paused, reworded, removed or added since stays so', async () => {
    const house = await openHouse();
    await house.publisher.build();
    await house.put({ ...house.catalogue.get('sofa-red')!.ad, status: 'paused' });
    await house.put({ ...house.catalogue.get('lamp-red')!.ad, title: 'crimson kettle' });
    await house.put(sampleAd({ id: 'new', title: 'violet sofa', markets: ['us'] }));
    house.remove('car-red');
    await house.publisher.build();
    const before = {
      sofa: await house.ids('sofa'),
      car: await house.ids('red car'),
      kettle: await house.ids('kettle'),
    };
    const generation = await house.publisher.rollback(1);
    expect(generation).toMatchObject({ number: 3, status: 'live', reason: 'content of generation 1', recall: 1 });
    expect((await house.ask('sofa')).generation).toBe(3);
    expect(before.sofa).toContain('new');
    expect(before.sofa).not.toContain('sofa-red');
    expect(before.car).not.toContain('car-red');
    expect(before.kettle).toContain('lamp-red');
    const after = { sofa: await house.ids('sofa'), car: await house.ids('red car'), kettle: await house.ids('kettle') };
    expect(after).toEqual(before);
  });

  it('refuses to roll back to what was never published', async () => {
    const house = await openHouse();
    await house.publisher.build();
    await expect(house.publisher.rollback(7)).rejects.toMatchObject({
      code: 'not_found',
      message: 'Generation 7 was never published or is gone; there are 1.',
    });
  });

  it('goes on from disk after a restart, with the changes that the catalogue knows', async () => {
    const first = await openHouse(at('restart'));
    await first.publisher.build();
    const second = await openHouse(at('restart'));
    second.catalogue.delete('sofa-red');
    second.catalogue.set('sofa-blue', { ad: sampleAd({ id: 'sofa-blue', title: 'blue kettle' }), revision: 9 });
    const [kettle] = (await second.encoder.encode(['white kettle'])).vectors;
    const { ad } = second.catalogue.get('lamp-red')!;
    second.catalogue.set(ad.id, { ad, revision: 10, uploaded: quantize(kettle!) });
    // At another bid, and as the generation has it: no vector is asked for.
    const [car, lamp] = ['car-red', 'lamp-blue'].map((id) => second.catalogue.get(id)!.ad) as [Ad, Ad];
    second.catalogue.set(car.id, { ad: { ...car, bidMicros: 7 }, revision: 11 });
    second.catalogue.set(lamp.id, { ad: lamp, revision: 1, uploaded: quantize(kettle!) });
    expect(await second.publisher.start()).toEqual({ number: 1, problems: [] });
    expect(second.ladder.counts()).toEqual({ uploaded: 1, bundle: 0, student: 1 });
    expect(second.live.view!.find(car.id)!.bidMicros).toBe(7);
    expect(await second.ids('white kettle', { market: ad.markets[0]!, retrievers: ['dense'], k: 3 })).toContain(ad.id);
    expect(await second.ids('red sofa')).not.toContain('sofa-red');
    expect((await second.ids('blue kettle', { retrievers: ['lexical'] }))[0]).toBe('sofa-blue');
    expect(await second.ids('blue sofa', { retrievers: ['lexical'], minRelevance: 0.9 })).toEqual([]);
  });

  it('leaves what a bulk load brought or reworded for the next generation, and pauses what it paused', async () => {
    const house = await openHouse(at('bulk'));
    await house.publisher.build();
    const changed = (id: string, change: Partial<Ad>) => {
      house.catalogue.set(id, { ad: { ...house.catalogue.get(id)!.ad, ...change }, revision: 2 });
    };
    for (let i = 0; i < MOST_IN_BATCH; i++)
      house.catalogue.set(`bulk-${i}`, { ad: sampleAd({ id: `bulk-${i}`, title: 'pink sofa' }), revision: 2 });
    changed('sofa-red', { title: 'crimson sofa' });
    changed('sofa-blue', { status: 'paused' });
    changed('sofa-green', { title: 'emerald sofa', status: 'paused' });
    changed('car-red', { bidMicros: 7 });
    house.catalogue.set('single', { ad: sampleAd({ id: 'single', title: 'pink sofa' }), revision: 3 });
    const again = await openHouse(at('bulk'));
    for (const [id, entry] of house.catalogue) again.catalogue.set(id, entry);
    await again.publisher.start();
    expect(again.ladder.counts()).toEqual({ uploaded: 0, bundle: 0, student: 1 });
    const view = again.live.view!;
    expect([view.ads, view.delta]).toEqual([37, 2 + MOST_IN_BATCH + 1]);
    expect(view.find('sofa-red')!.title).toBe('red sofa');
    expect([view.find('sofa-blue')!.status, view.find('sofa-green')!.status]).toEqual(['paused', 'paused']);
    expect([view.find('car-red')!.bidMicros, view.has('single')]).toEqual([7, true]);
  });

  it('takes over what another published into the folder, with the changes that the catalogue knows', async () => {
    const [first, second] = [await openHouse(at('shared')), await openHouse(at('shared'))];
    await first.publisher.build();
    await second.publisher.start();
    await first.publisher.build();
    second.catalogue.delete('sofa-red');
    await second.publisher.follow(2);
    expect((await second.ask('red sofa')).generation).toBe(2);
    expect(await second.ids('red sofa')).not.toContain('sofa-red');
    for (let i = 0; i < 2; i++) await first.publisher.build();
    await second.publisher.follow(3); // 4 is there by now
    expect((await second.ask('red sofa')).generation).toBe(4);
    await expect(second.publisher.follow(5)).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('Generation 5 was published by another backend'),
    });
    // What is being published here will be the newer one.
    const build = second.publisher.build();
    await second.publisher.follow(5);
    expect(second.live.view!.number).toBe(4);
    await build;
  });

  it('asks the index what people asked, then titles, and waits where queries fill the queue', async () => {
    const house = await openHouse();
    house.catalogue.set('new', { ad: sampleAd({ id: 'new', title: 'violet sofa' }), revision: 2 });
    const encoded: string[] = [];
    const full = new Set<string>();
    const encoder: typeof house.encoder = {
      ...house.encoder,
      async encode(texts, options) {
        if (!full.has(texts[0]!)) {
          full.add(texts[0]!);
          throw new HarnessError('too_many_requests', 'The queue is full.', { retryAfterSeconds: 0 });
        }
        encoded.push(...texts);
        return house.encoder.encode(texts, options);
      },
    };
    const publisher = createPublisher({
      ...{ store: house.store, live: house.live, encoder, now: () => 0 },
      ladder: createVectorLadder({ bundleAds: await bundle.readAds(), encoder }),
      readCatalogue: async () => [...house.catalogue.values()],
      sampleQueries: async () => ['a couch, please', 'red sofa'],
    });
    await publisher.build();
    const titles = [...house.catalogue.values()].map(({ ad }) => ad.title);
    expect(encoded[0]).toBe('violet sofa'); // of which nobody has a vector
    expect(encoded.slice(1, 3)).toEqual(['a couch, please', 'red sofa']);
    expect(encoded.slice(3).toSorted()).toEqual(titles.filter((title) => title !== 'red sofa').toSorted());
  });

  it('runs one at a time', async () => {
    const house = await openHouse();
    const first = house.publisher.build();
    await expect(house.publisher.build()).rejects.toMatchObject({ code: 'conflict' });
    await expect(first).resolves.toMatchObject({ number: 1 });
  });

  it('refuses a catalogue that shrank to less than half, keeps serving, and takes it when forced', async () => {
    const house = await openHouse();
    await house.publisher.build();
    for (const { id } of smallCatalogue().slice(0, 25)) house.catalogue.delete(id);
    await expect(house.publisher.build()).rejects.toMatchObject({
      code: 'gate_failed',
      message: expect.stringContaining('has 11 ads, the live one 36: expected at least 50 %'),
    });
    expect((await house.ask('sofa')).generation).toBe(1);
    expect((await house.store.list()).generations.at(-1)).toMatchObject({ number: 2, status: 'failed' });
    const forced = await house.publisher.build({ force: true });
    expect(forced).toMatchObject({ number: 3, ads: 11, status: 'live' });
  });

  it('says why a generation was refused though the record of it cannot be written', async () => {
    const house = await openHouse();
    await house.publisher.build();
    for (const { id } of smallCatalogue().slice(0, 25)) house.catalogue.delete(id);
    const onProgress = (phase: Phase) =>
      phase === 'check' && mkdirSync(join(house.store.folder(2), 'failed.json.next'), { recursive: true });
    await expect(house.publisher.build({ onProgress })).rejects.toMatchObject({ code: 'gate_failed' });
  });

  it('stops a build when told to, leaving the live generation and no folder', async () => {
    const house = await openHouse();
    await house.publisher.build();
    const stop = new AbortController();
    const build = house.publisher.build({
      signal: stop.signal,
      onProgress: (phase) => phase === 'index' && stop.abort(new Error('stopping')),
    });
    await expect(build).rejects.toThrow('stopping');
    expect((await house.store.list()).generations.map(({ number }) => number)).toEqual([1]);
    expect(house.publisher.building).toBeNull();
    expect((await house.publisher.build()).number).toBe(2);
  });

  it('keeps the gate where it is', () => {
    expect(GATE).toEqual({ k: 10, minRecall: 0.95, wanted: 0.96, minSizeShare: 0.5 });
  });
});
