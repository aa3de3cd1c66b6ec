/** Which generations stay, under which numbers, and what becomes of what they have in Milvus; of manifests and records alone. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { buildGeneration } from '../../../gpu-backend/generations/build.ts';
import { GENERATION_FORMAT, type GenerationManifest, manifestJson } from '../../../gpu-backend/generations/layout.ts';
import { openGenerationStore } from '../../../gpu-backend/generations/store.ts';
import type { Milvus } from '../../../gpu-backend/index/milvus.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { sampleAd } from '../../setup/samples.ts';

const at = testFolder('store-collect');
let [dir, made] = ['', 0];
beforeEach(async () => {
  dir = at(`store-${made++}`);
  await mkdir(dir, { recursive: true });
});

async function generation(number: number, change: Partial<GenerationManifest> = {}, published = true): Promise<void> {
  const manifest: GenerationManifest = {
    ...{ format: GENERATION_FORMAT, number, createdAt: '2026-01-15T12:00:00.000Z', spaceId: 'space', dimension: 4 },
    ...{ model: 'm', ads: 1, markets: { us: 1 }, vectors: { uploaded: 0, bundle: 1, student: 0 } },
    ...{ lexicalVersion: 1, copyOf: null, files: [], ...change },
  };
  await mkdir(join(dir, String(number)));
  await writeFile(join(dir, String(number), 'manifest.json'), manifestJson(manifest));
  const record = { publishedAt: '2026-01-15T12:00:01.000Z', recall: 1 };
  if (published) await writeFile(join(dir, String(number), 'published.json'), JSON.stringify(record));
}
const names = async () => (await readdir(dir)).sort();
const publish = { recall: 1, nowMs: 0 };

/** What was asked of Milvus. */
function milvusOf(fails: () => boolean = () => false) {
  const asked: string[] = [];
  const milvus: Partial<Milvus> = {
    aliasOf: (market) => `live_${market}`,
    async promote(alias, collection) {
      if (fails()) throw new Error('Milvus is away');
      asked.push(`${alias} is ${collection}`);
    },
    async discard(collection) {
      asked.push(`without ${collection}`);
    },
  };
  return { asked, milvus: milvus as Milvus };
}

it('keeps the last few that were published, however many digits they have, and the failures since', async () => {
  for (const number of [8, 9, 10, 12]) await generation(number);
  const store = await openGenerationStore({ dir, keep: 2 });
  for (const number of [7, 11, 13]) {
    await generation(number, {}, false);
    await store.fail(number, { reason: `why ${number}`, nowMs: 0 });
  }
  await mkdir(join(dir, '012'));
  await store.publish(12, publish);
  expect(await names()).toEqual(['012', '10', '11', '12', '13', 'live']);
  expect((await store.list()).generations.map(({ number, status, reason }) => [number, status, reason])).toEqual([
    [10, 'retired', null],
    [11, 'failed', 'why 11'],
    [12, 'live', null],
    [13, 'failed', 'why 13'],
  ]);
  await generation(14);
  await store.publish(14, publish);
  expect(await names()).toEqual(['012', '12', '13', '14', 'live']);
});

it('gives no number twice, though its folder is lost', async () => {
  await writeFile(join(dir, 'live'), '20\n');
  const store = await openGenerationStore({ dir });
  expect(await store.nextNumber()).toBe(21);
  await generation(30, {}, false);
  await store.fail(30, { reason: 'refused', nowMs: 0 });
  expect(await store.nextNumber()).toBe(31);
});

it('never goes back: what was being made while a later one was published is refused', async () => {
  await generation(3);
  for (const number of [4, 5]) await generation(number, {}, false);
  const store = await openGenerationStore({ dir });
  await store.publish(5, publish);
  await expect(store.publish(4, publish)).rejects.toMatchObject({
    code: 'conflict',
    message: 'Generation 5 was published while 4 was being made.',
  });
  expect(await store.live()).toBe(5);
  const all = (await store.list()).generations;
  expect(all.map(({ number, publishedAt }) => [number, publishedAt !== null])).toEqual([
    [3, true],
    [4, false],
    [5, true],
  ]);
});

it('tries the live one first, then those that were published, the newest first', async () => {
  for (const number of [9, 11, 10]) await generation(number);
  await generation(12, {}, false);
  await writeFile(join(dir, 'live'), '10\n');
  const store = await openGenerationStore({ dir });
  const { loaded, problems } = await store.openLive({ spaceId: 'another', nowMs: 0 });
  expect([loaded, problems.map(({ number, error }) => [number, error.code])]).toEqual([
    undefined,
    [10, 11, 9].map((number) => [number, 'space_mismatch']),
  ]);
});

it('copies what was published alone', async () => {
  await generation(1);
  await generation(2, {}, false);
  const store = await openGenerationStore({ dir });
  await expect(store.copy(2, { number: 3, nowMs: 0 })).rejects.toThrow(
    'Generation 2 was never published or is gone; there are 1.',
  );
  expect(await names()).toEqual(['1', '2']);
});

it('removes a collection with the last generation that names it: a copy shares those of its original', async () => {
  const { asked, milvus } = milvusOf();
  const store = await openGenerationStore({ dir, keep: 1, milvus });
  await generation(1, { collections: { us: 'first' } });
  await generation(2, { collections: { us: 'second' } });
  await store.copy(1, { number: 3, nowMs: 0 });
  await store.publish(3, publish);
  expect([asked.splice(0), await names()]).toEqual([
    ['live_us is first', 'without second'],
    ['3', 'live'],
  ]);
  await generation(4, { collections: { us: 'fourth' } });
  await store.publish(4, publish);
  expect([asked.splice(0), await names()]).toEqual([
    ['live_us is fourth', 'without first'],
    ['4', 'live'],
  ]);
  await generation(5, { collections: { gb: 'fifth', us: 'fourth' } }, false);
  await store.fail(5, { reason: 'refused', nowMs: 0 });
  expect([asked, await names()]).toEqual([['without fifth'], ['4', '5', 'live']]);
});

it('removes what builds that did not end have in Milvus, at the start and after a publication, but nothing that a generation names', async () => {
  const { asked, milvus } = milvusOf();
  const store = await openGenerationStore({ dir, milvus });
  const unfinished = (number: number, ...collections: string[]) =>
    writeFile(join(dir, `building-${number}.collections`), JSON.stringify(collections));
  await generation(1, { collections: { us: 'first' } });
  await unfinished(1, 'first'); // killed just before it was removed
  await unfinished(2, 'second, us', 'second, gb');
  await writeFile(join(dir, 'building-3.collections'), '["thi'); // while it was written
  await store.sweep();
  expect([asked.splice(0), await names()]).toEqual([['without second, us', 'without second, gb'], ['1']]);
  await unfinished(4, 'fourth');
  await store.publish(1, publish);
  expect([asked, await names()]).toEqual([
    ['live_us is first', 'without fourth'],
    ['1', 'live'],
  ]);
});

it('knows what a build that was given up may have in Milvus', async () => {
  const { asked, milvus } = milvusOf();
  const store = await openGenerationStore({ dir, milvus });
  const stopping = new AbortController();
  const build = buildGeneration({
    ...{ number: 5, dir, ads: [{ ad: sampleAd({ markets: ['us', 'gb'] }), revision: 1 }], dimension: 4, nowMs: 0 },
    vectorOf: () => ({ components: Int8Array.of(1, 0, 0, 0), source: 'bundle' }),
    ...{ spaceId: 'space', model: 'm', signal: stopping.signal },
    milvus: Object.assign(milvus, {
      collectionOf(number: number, market: string) {
        stopping.abort(new Error('stopped'));
        return `${number}, ${market}`;
      },
    }),
  });
  await expect(build).rejects.toThrow('stopped');
  expect(await names()).toEqual(['building-5.collections']);
  await store.sweep();
  expect([asked.sort(), await names()]).toEqual([['without 5, gb', 'without 5, us'], []]);
});

it('leaves the old one live where Milvus does not take the new one', async () => {
  let away = false;
  const { milvus } = milvusOf(() => away);
  const store = await openGenerationStore({ dir, milvus });
  for (const number of [1, 2]) await generation(number, { collections: { us: `collection ${number}` } });
  await store.publish(1, publish);
  away = true;
  await expect(store.publish(2, publish)).rejects.toThrow('Milvus is away');
  expect(await store.live()).toBe(1);
});

it('leaves of one that failed the record alone', async () => {
  const file = { file: 'ads.jsonl', sha256: 'a'.repeat(64), bytes: 2 };
  await generation(3, { files: [file], model: 'student', ads: 5 }, false);
  await writeFile(join(dir, '3', 'ads.jsonl'), '{}');
  const store = await openGenerationStore({ dir });
  await store.fail(3, { reason: 'found too little', nowMs: 0 });
  expect(await readdir(join(dir, '3'))).toEqual(['failed.json']);
  expect((await store.list()).generations).toEqual([
    {
      ...{ number: 3, status: 'failed', reason: 'found too little', spaceId: 'space', model: 'student', ads: 5 },
      ...{ recall: null, createdAt: '2026-01-15T12:00:00.000Z', publishedAt: null },
    },
  ]);
});

it('makes room of one that failed before the record is written', async () => {
  const file = { file: 'ads.jsonl', sha256: 'a'.repeat(64), bytes: 2 };
  await generation(3, { files: [file] }, false);
  await writeFile(join(dir, '3', 'ads.jsonl'), '{}');
  await mkdir(join(dir, '3', 'failed.json.next')); // as little can be written as where the disk is full
  const store = await openGenerationStore({ dir });
  await expect(store.fail(3, { reason: 'no space', nowMs: 0 })).rejects.toThrow('EISDIR');
  expect(await readdir(join(dir, '3'))).not.toContain('ads.jsonl');
});

it('keeps as many that can be brought back, however many failed while they were made live', async () => {
  let away = false;
  const { milvus } = milvusOf(() => away);
  const store = await openGenerationStore({ dir, milvus, keep: 2 });
  const make = (number: number) => generation(number, { collections: { us: `collection ${number}` } }, false);
  await make(1);
  await store.publish(1, publish);
  away = true;
  for (const number of [2, 3, 4]) {
    await make(number);
    await expect(store.publish(number, publish)).rejects.toThrow('Milvus is away');
    await store.fail(number, { reason: 'Milvus is away', nowMs: 0 });
  }
  away = false;
  await make(5);
  await store.publish(5, publish);
  await expect(store.copy(1, { number: 6, nowMs: 0 })).resolves.toBe(join(dir, '6'));
});

it('refuses to bring back one whose removal was cut short, and leaves nothing', async () => {
  await generation(1, { files: [{ file: 'ads.jsonl', sha256: 'a'.repeat(64), bytes: 2 }] });
  const store = await openGenerationStore({ dir });
  await expect(store.copy(1, { number: 2, nowMs: 0 })).rejects.toMatchObject({
    code: 'not_found',
    message: 'Generation 1 has lost its ads.jsonl: roll back to another one.',
  });
  expect(await names()).toEqual(['1']);
});
