import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogueAds, type FollowOptions, followInto } from '../../../gpu-backend/catalogue/follow.ts';
import type { Change } from '../../../gpu-backend/catalogue/rows.ts';
import type { Encoder } from '../../../gpu-backend/encoder/encoder.ts';
import { createEncoder } from '../../../gpu-backend/encoder/pool.ts';
import { Live } from '../../../gpu-backend/generations/live.ts';
import { type AdVector, createVectorLadder, type VectorLadder } from '../../../gpu-backend/generations/vectors.ts';
import { adTextDigest } from '../../../shared/ad-text.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import { smallBundle, smallHouse } from '../../fixtures/small-house.ts';
import { tinyBundle } from '../../fixtures/tiny-bundle.ts';
import { sampleAd } from '../../setup/samples.ts';

/** Writes down what it is told; everything else as the real one. */
class RecordedLive extends Live {
  readonly puts: [Ad, number, AdVector | undefined][] = [];
  readonly deletes: [string, number][] = [];
  override applyUpsert(ad: Ad, revision: number, vector?: AdVector): void {
    this.puts.push([ad, revision, vector]);
    super.applyUpsert(ad, revision, vector);
  }
  override applyDelete(id: string, revision: number): void {
    this.deletes.push([id, revision]);
    super.applyDelete(id, revision);
  }
}

let dir: string;
let encoder: Encoder;
let ladder: VectorLadder;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'harness-bundle-'));
  const bundle = await tinyBundle({ dir, words: ['trail', 'running', 'shoes'] });
  encoder = await createEncoder({ bundle, workers: 1 });
  ladder = createVectorLadder({ bundleAds: await bundle.readAds(), encoder });
});
afterAll(async () => {
  await encoder?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Both steps, one after the other. */
function whole(options: FollowOptions) {
  const follow = followInto(options);
  return async (changes: readonly Change[]) => follow.bring(await follow.hold(changes));
}
function following(isBuilding: boolean) {
  const live = new RecordedLive({ spaceId: encoder.spaceId });
  const missing: number[] = [];
  const onVectorsMissing = (_error: unknown, ads: number) => void missing.push(ads);
  return { live, missing, follow: whole({ live, ladder, isBuilding: () => isBuilding, onVectorsMissing }) };
}
const change = (ad: Ad | undefined, more: Partial<Change> = {}): Change => ({
  id: ad?.id ?? 'gone',
  revision: 5,
  ad,
  stored: undefined,
  ...more,
});

test('an uploaded vector is used while it is of the present text', async () => {
  const { live, follow } = following(true);
  const vector = new Int8Array(encoder.dimension).fill(3);
  const ad = sampleAd();
  await follow([change(ad, { stored: { vector, textDigest: await adTextDigest(ad) } })]);
  await follow([change(ad, { revision: 6, stored: { vector, textDigest: 'of another text.' } }), change(undefined)]);
  expect(live.puts.map(([, revision, given]) => [revision, given?.source])).toEqual([
    [5, 'uploaded'],
    [6, 'student'],
  ]);
  expect(live.puts[0]![2]!.components).toEqual(vector);
  expect(live.deletes).toEqual([['gone', 5]]);
});

test('nothing is encoded while nothing is searched', async () => {
  const { live, follow } = following(false);
  const before = encoder.stats().encoded;
  await follow([change(sampleAd())]);
  expect(live.puts).toEqual([[sampleAd(), 5, undefined]]);
  expect(encoder.stats().encoded).toBe(before);
});

test('a vector is asked for where a text is new or its owner sent one, be a generation built or not', async () => {
  const house = await smallHouse({ bundle: await smallBundle(join(dir, 'small')), dataDir: join(dir, 'data') });
  await house.publisher.build();
  const asked: string[][] = [];
  const stored: VectorLadder['stored'] = (ads) => {
    asked.push(ads.map(({ ad }) => ad.id));
    return house.ladder.stored(ads);
  };
  const follow = whole({
    ...{ live: house.live, ladder: { ...house.ladder, stored } },
    ...{ isBuilding: () => false, onVectorsMissing: () => expect.unreachable() },
  });
  const { ad } = house.catalogue.get('sofa-red')!;
  await follow([change({ ...ad, status: 'paused' })]);
  expect(house.live.view!.find(ad.id)).toMatchObject({ status: 'paused' });
  await follow([change({ ...ad, title: 'red couch' }, { revision: 6 })]);
  const vector = new Int8Array(house.encoder.dimension).fill(1);
  const other = house.catalogue.get('car-red')!.ad;
  await follow([change(other, { stored: { vector, textDigest: await adTextDigest(other) } })]);
  expect(asked).toEqual([[], ['sofa-red'], ['car-red']]);
  expect(house.live.view!.delta).toBe(2); // what has another vector than the generation
  await house.close();
});

test('others get a turn between the changes of a batch', async () => {
  class SlowLive extends RecordedLive {
    override applyUpsert(...given: Parameters<Live['applyUpsert']>): void {
      for (const until = performance.now() + 3; performance.now() < until; );
      super.applyUpsert(...given);
    }
  }
  const live = new SlowLive({ spaceId: encoder.spaceId });
  const follow = whole({ live, ladder, isBuilding: () => false, onVectorsMissing: () => expect.unreachable() });
  const seen = new Set<number>();
  let done = false;
  const look = () => {
    seen.add(live.puts.length);
    if (!done) setImmediate(look);
  };
  setImmediate(look);
  await follow(Array.from({ length: 20 }, (_, i) => change(sampleAd({ id: `ad-${i}` }))));
  done = true;
  expect(live.puts).toHaveLength(20);
  expect(seen.size).toBeGreaterThan(5);
});

test('nothing but a new text without a vector waits for one', async () => {
  const { live } = following(true);
  const { hold, bring } = followInto({
    ...{ live, ladder: { ...ladder, resolve: () => Promise.reject(new Error('asked for a vector')) } },
    ...{ isBuilding: () => true, onVectorsMissing: () => undefined },
  });
  const own = sampleAd({ id: 'own' });
  const vector = new Int8Array(encoder.dimension).fill(1);
  const stored = { vector, textDigest: await adTextDigest(own) };
  const needy = await hold([change(sampleAd()), change(own, { stored }), change(undefined)]);
  expect(live.deletes).toEqual([['gone', 5]]);
  expect(live.puts.map(([{ id }, , given]) => [id, given?.source])).toEqual([['own', 'uploaded']]);
  await bring(needy);
  expect(live.puts.slice(1)).toEqual([[sampleAd(), 5, undefined]]);
});

test('changes hold though no vector can be had', async () => {
  await encoder.close();
  const { live, missing, follow } = following(true);
  await follow([change(sampleAd({ id: 'a' })), change(undefined), change(sampleAd({ id: 'b', status: 'paused' }))]);
  expect(live.puts.map(([{ id }, , vector]) => [id, vector])).toEqual([
    ['a', undefined],
    ['b', undefined],
  ]);
  expect(live.deletes).toEqual([['gone', 5]]);
  expect(missing).toEqual([2]);
});

test('a whole catalogue is looked at with others running in between, also where no ad has a vector to wait for', async () => {
  let others = 0;
  const timer = setImmediate(function again() {
    others++;
    if (others < 3) setImmediate(again);
  });
  const changes = Array.from({ length: 300 }, (_, i) =>
    change(i % 7 === 0 ? undefined : sampleAd({ id: `ad-${i}` }), { revision: i }),
  );
  const ads = await catalogueAds(changes);
  expect(others).toBe(3);
  clearImmediate(timer);
  expect(ads).toEqual(changes.map(({ ad, revision }) => ad && { ad, revision, uploaded: undefined }));
});
