import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Bundle } from '../../../gpu-backend/encoder/bundle.ts';
import { GENERATION_FORMAT, manifestJson } from '../../../gpu-backend/generations/layout.ts';
import { closeGeneration, loadGeneration } from '../../../gpu-backend/generations/load.ts';
import { openGenerationStore } from '../../../gpu-backend/generations/store.ts';
import type { Milvus } from '../../../gpu-backend/index/milvus.ts';
import { openScanDevice, type ScanDevice } from '../../../gpu-backend/index/scan-device.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { type SmallHouse, smallBundle, smallHouse } from '../../fixtures/small-house.ts';

const at = testFolder('store');
const houses: SmallHouse[] = [];
let bundle: Bundle;
let made = 0;

beforeAll(async () => {
  bundle = await smallBundle(at('bundle'));
  // Three generations, made once: each test works on a copy.
  const house = await smallHouse({ bundle, dataDir: at('three') });
  for (let i = 0; i < 3; i++) await house.publisher.build();
  await house.close();
});
afterEach(async () => {
  await Promise.all(houses.splice(0).map((house) => house.close()));
});

async function threeGenerations(): Promise<string> {
  const dataDir = at(`copy-${made++}`);
  await cp(at('three'), dataDir, { recursive: true });
  return dataDir;
}

async function openHouse(dataDir: string, keep = 3): Promise<SmallHouse> {
  const house = await smallHouse({ bundle, dataDir, keep });
  houses.push(house);
  return house;
}

async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(path, bytes);
}

const folder = (dataDir: string, number: number, file = '') => join(dataDir, 'generations', String(number), file);
const names = async (dataDir: string) => (await readdir(join(dataDir, 'generations'))).sort();

describe('loadGeneration', () => {
  it.each(['ads.jsonl', 'vectors.safetensors', 'us.hnsw', 'gb.hnsw', 'lexical.safetensors'])(
    'refuses one flipped byte and a missing end in %s, naming it',
    async (file) => {
      const dataDir = await threeGenerations();
      const { spaceId } = bundle.manifest;
      await expect(loadGeneration(folder(dataDir, 3), { spaceId })).resolves.toBeDefined();
      await flipByte(folder(dataDir, 3, file));
      await expect(loadGeneration(folder(dataDir, 3), { spaceId })).rejects.toMatchObject({
        code: 'bundle_damaged',
        message: expect.stringContaining(`${file}: expected SHA-256`),
      });
      await truncate(folder(dataDir, 3, file), 100);
      await expect(loadGeneration(folder(dataDir, 3), { spaceId })).rejects.toThrow(/expected \d+ bytes, got 100/);
    },
  );

  it('refuses a generation of another space, naming both', async () => {
    const dataDir = await threeGenerations();
    await expect(loadGeneration(folder(dataDir, 3), { spaceId: 'ffffffffffffffff' })).rejects.toMatchObject({
      code: 'space_mismatch',
      message: expect.stringMatching(new RegExp(`${bundle.manifest.spaceId}.*ffffffffffffffff`)),
    });
  });

  it('refuses vectors of another space than the manifest says, though every byte is as it was written', async () => {
    const dataDir = await threeGenerations();
    const { spaceId } = bundle.manifest;
    const [path, vectors] = ['manifest.json', 'vectors.safetensors'].map((file) => folder(dataDir, 3, file)) as [
      string,
      string,
    ];
    const content = (await readFile(vectors, 'latin1')).replace(spaceId, 'f'.repeat(spaceId.length));
    await writeFile(vectors, content, 'latin1');
    const { sha256: _, ...manifest } = JSON.parse(await readFile(path, 'utf8'));
    const sha256 = createHash('sha256').update(content, 'latin1').digest('hex');
    const files = manifest.files.map((entry: { file: string }) =>
      entry.file === 'vectors.safetensors' ? { ...entry, sha256 } : entry,
    );
    await writeFile(path, manifestJson({ ...manifest, files }));
    await expect(loadGeneration(folder(dataDir, 3), { spaceId })).rejects.toMatchObject({
      code: 'space_mismatch',
      message: expect.stringMatching(new RegExp(`vectors\\.safetensors.*f{${spaceId.length}}.*${spaceId}`)),
    });
  });

  it('refuses the format of an older version in one line', async () => {
    const dataDir = await threeGenerations();
    const path = folder(dataDir, 3, 'manifest.json');
    const { sha256: _, ...manifest } = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, manifestJson({ ...manifest, format: 2 }));
    await expect(loadGeneration(folder(dataDir, 3), { spaceId: bundle.manifest.spaceId })).rejects.toMatchObject({
      code: 'bundle_damaged',
      message: `${path}: not a generation's manifest (format: expected ${GENERATION_FORMAT}, got 2); build a new generation.`,
    });
  });
});

describe('a lexical index of another version', () => {
  const another = async (everyLine?: string) => {
    const dataDir = await threeGenerations();
    const path = folder(dataDir, 3, 'manifest.json');
    const { sha256: _, ...manifest } = JSON.parse(await readFile(path, 'utf8'));
    const files = await Promise.all(
      manifest.files.map(async (entry: { file: string }) => {
        const ads = everyLine?.repeat(manifest.ads);
        const content = { 'ads.jsonl': ads, 'lexical.safetensors': 'of a form that nobody here reads' }[entry.file];
        if (content === undefined) return entry;
        await writeFile(folder(dataDir, 3, entry.file), content);
        return { ...entry, sha256: createHash('sha256').update(content).digest('hex'), bytes: content.length };
      }),
    );
    await writeFile(path, manifestJson({ ...manifest, lexicalVersion: manifest.lexicalVersion - 1, files }));
    return dataDir;
  };
  const load = async (dataDir: string) => loadGeneration(folder(dataDir, 3), bundle.manifest);
  const wordless = '{"revision":1,"source":"bundle","ad":{"id":"x","markets":[]}}\n';

  it('is made anew from the ads, and finds what the one of this version finds', async () => {
    const [now, before] = await Promise.all([
      loadGeneration(join(at('three'), 'generations', '3'), bundle.manifest),
      load(await another()),
    ]);
    for (const query of ['red sofa', 'golden', 'kettle white car', 'nothing']) {
      const [found, expected] = [before, now].map(({ lexical, ads }) =>
        lexical.search(query, { limit: 10, accept: () => true, tieKey: (slot) => ads[slot]!.ad.id }),
      );
      expect(found).toEqual(expected);
      expect(expected!.hits.length > 0).toBe(query !== 'nothing');
    }
  });

  it('is refused with the reason where it cannot be made', async () => {
    await expect(load(await another(wordless))).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('the lexical index was not made anew: '),
    });
  });

  it('that cannot be made has the generation before stand in, over which a new one is built', async () => {
    const house = await openHouse(await another(wordless));
    expect(await house.publisher.start()).toMatchObject({ number: 4, problems: [{ number: 3 }] });
    expect(house.live.view).toMatchObject({ standsIn: true, broughtBack: false });
  });
});

describe('the generation store', () => {
  it('removes what an interrupted build or publication left, and nothing else', async () => {
    const dataDir = await threeGenerations();
    const before = await names(dataDir);
    await mkdir(join(dataDir, 'generations', 'building-4'));
    await writeFile(join(dataDir, 'generations', 'building-4', 'ads.jsonl'), '{}');
    await writeFile(join(dataDir, 'generations', 'live.next'), '4');
    const house = await openHouse(dataDir);
    expect(await house.publisher.start()).toEqual({ number: 3, problems: [] });
    expect(await names(dataDir)).toEqual(before);
  });

  it('ignores a generation that was built but never published, also where the live one is damaged', async () => {
    const dataDir = await threeGenerations();
    await rm(folder(dataDir, 3, 'published.json'));
    await writeFile(join(dataDir, 'generations', 'live'), '2\n');
    const house = await openHouse(dataDir);
    expect(await house.publisher.start()).toMatchObject({ number: 2 });
    expect(await house.store.nextNumber()).toBe(4);
    await flipByte(folder(dataDir, 2, 'us.hnsw'));
    const later = await openHouse(dataDir);
    expect(await later.publisher.start()).toMatchObject({ number: 4, problems: [{ number: 2 }] });
    expect((await later.store.list()).generations.at(-1)!.reason).toMatch(/^content of generation 1,/);
  });

  it('goes on with the one before where a publication ended between its record and the pointer', async () => {
    const dataDir = await threeGenerations();
    await writeFile(join(dataDir, 'generations', 'live'), '2\n');
    await writeFile(join(dataDir, 'generations', 'live.next'), '3\n');
    const house = await openHouse(dataDir);
    expect(await house.publisher.start()).toEqual({ number: 2, problems: [] });
    expect((await house.publisher.build()).number).toBe(4);
    expect((await house.store.list()).generations.map(({ number, status }) => [number, status])).toEqual([
      [2, 'retired'],
      [3, 'retired'],
      [4, 'live'],
    ]);
  });

  it('serves the last whole generation under a new number when the live one is damaged, and says why', async () => {
    const dataDir = await threeGenerations();
    await flipByte(folder(dataDir, 3, 'us.hnsw'));
    await flipByte(folder(dataDir, 2, 'lexical.safetensors'));
    const house = await openHouse(dataDir);
    const { number, problems } = await house.publisher.start();
    expect(number).toBe(4);
    expect(problems.map((problem) => [problem.number, problem.error.code])).toEqual([
      [3, 'bundle_damaged'],
      [2, 'bundle_damaged'],
    ]);
    expect((await house.ids('red sofa'))[0]).toBe('sofa-red');
    expect((await house.store.list()).generations.at(-1)).toMatchObject({
      number: 4,
      status: 'live',
      reason: 'content of generation 1, because 3 could not be loaded',
    });
    expect(house.live.view).toMatchObject({ standsIn: true, broughtBack: false });
    const later = await openHouse(dataDir);
    expect(await later.publisher.start()).toEqual({ number: 4, problems: [] });
    expect(later.live.view).toMatchObject({ standsIn: true, broughtBack: false });
    await later.publisher.rollback(4); // somebody's decision
    expect(later.live.view).toMatchObject({ number: 5, standsIn: false, broughtBack: true });
    await later.publisher.build();
    expect(later.live.view).toMatchObject({ number: 6, standsIn: false, broughtBack: false });
  });

  it('serves the last good one whatever byte is flipped and whatever file is cut short', async () => {
    const { files } = JSON.parse(await readFile(folder(at('three'), 3, 'manifest.json'), 'utf8'));
    const all: string[] = ['manifest.json', ...files.map(({ file }: { file: string }) => file)];
    expect(all.length).toBeGreaterThan(5);
    for (const file of all) {
      const whole = await readFile(folder(at('three'), 3, file));
      const places = [0, 0.35, 0.85].map((share) => Math.floor(share * whole.length));
      const damaged = places.map((place) => whole.map((byte, i) => (i === place ? byte ^ 4 : byte)));
      for (const bytes of [...damaged, whole.subarray(0, -2), whole.subarray(0, 0)]) {
        const dataDir = await threeGenerations();
        await writeFile(folder(dataDir, 3, file), bytes);
        const store = await openGenerationStore({ dir: join(dataDir, 'generations') });
        const { loaded, problems } = await store.openLive({ spaceId: bundle.manifest.spaceId, nowMs: 0 });
        expect(problems.map(({ number, error }) => [file, number, error.code])).toEqual([[file, 3, 'bundle_damaged']]);
        expect(loaded?.manifest).toMatchObject({ number: 4, copyOf: 2 });
      }
    }
  });

  it('has nothing to serve when all are damaged or of another space, and builds anew under a higher number', async () => {
    const dataDir = await threeGenerations();
    for (const number of [1, 2, 3]) await flipByte(folder(dataDir, number, 'ads.jsonl'));
    const house = await openHouse(dataDir);
    const { number, problems } = await house.publisher.start();
    expect([number, problems.length]).toEqual([null, 3]);
    await expect(house.ask('sofa')).rejects.toMatchObject({ code: 'not_ready' });
    expect((await house.publisher.build()).number).toBe(4);
    expect((await house.ids('red sofa'))[0]).toBe('sofa-red');
  });

  it('survives a live pointer that was cut short', async () => {
    const dataDir = await threeGenerations();
    await writeFile(join(dataDir, 'generations', 'live'), '');
    const house = await openHouse(dataDir);
    expect(await house.publisher.start()).toMatchObject({ number: 4, problems: [] });
  });

  it('keeps the last few published generations and collects the others', async () => {
    const dataDir = await threeGenerations();
    const house = await openHouse(dataDir, 2);
    await house.publisher.build();
    expect(await names(dataDir)).toEqual(['3', '4', 'live']);
    expect(await house.store.nextNumber()).toBe(5);
  });

  it('does not publish under a later one, which another published meanwhile', async () => {
    const dataDir = await threeGenerations();
    const store = await openGenerationStore({ dir: join(dataDir, 'generations') });
    await expect(store.publish(2, { recall: 1, nowMs: 0 })).rejects.toMatchObject({
      code: 'conflict',
      message: 'Generation 3 was published while 2 was being made.',
    });
    expect(await store.live()).toBe(3);
  });

  it('publishes although an old one cannot be removed, which the next publication tries again', async () => {
    const dataDir = await threeGenerations();
    const path = folder(dataDir, 1, 'manifest.json');
    const { sha256: _, ...manifest } = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, manifestJson({ ...manifest, collections: { us: 'old' } }));
    const discarded: string[] = [];
    const milvus = {
      async discard(collection: string) {
        if (discarded.push(collection) === 1) throw new Error('disk full');
      },
    } as Partial<Milvus> as Milvus;
    const leftOver: unknown[] = [];
    const onLeftOver = (error: unknown) => leftOver.push(error);
    const store = await openGenerationStore({ dir: join(dataDir, 'generations'), keep: 1, milvus, onLeftOver });
    await store.publish(3, { recall: 1, nowMs: 0 });
    expect(leftOver).toEqual([new Error('disk full')]);
    expect([await store.live(), await names(dataDir)]).toEqual([3, ['1', '2', '3', 'live']]);
    await store.publish(3, { recall: 1, nowMs: 0 });
    expect([discarded, await names(dataDir)]).toEqual([
      ['old', 'old'],
      ['3', 'live'],
    ]);
  });

  it('searches a generation as the gate found it necessary: once published, brought back, or copied by a rollback', async () => {
    const dataDir = await threeGenerations();
    const store = await openGenerationStore({ dir: join(dataDir, 'generations') });
    const { spaceId } = bundle.manifest;
    const lists = async (path: string) =>
      Array.from((await loadGeneration(path, { spaceId })).indices.values(), ({ expansionSearch }) => expansionSearch);
    await store.publish(3, { recall: 1, expansionSearch: { gb: 128, us: 320 }, nowMs: 0 });
    expect(await lists(store.folder(3))).toEqual([128, 320]);
    expect(await lists(await store.copy(3, { number: 4, nowMs: 0 }))).toEqual([128, 320]);
    await store.publish(4, { recall: 1, nowMs: 0 });
    expect(await lists(store.folder(4))).toEqual([128, 320]);
    expect(await lists(store.folder(2))).toEqual([64, 64]);
  });

  it('tells of a graph that is searched although nobody measured it, because a device scanned before', async () => {
    const dir = join(await threeGenerations(), 'generations');
    const unmeasured: { generation: number; market: string }[] = [];
    const open = (scan?: ScanDevice) => openGenerationStore({ dir, scan, onUnmeasured: (of) => unmeasured.push(of) });
    const scan = openScanDevice({ provider: 'cpu' });
    const [with_, without] = [await open(scan), await open()];
    await without.publish(3, { recall: 1, expansionSearch: { gb: 64 }, scanned: ['us'], nowMs: 0 });
    const { spaceId } = bundle.manifest;
    await closeGeneration(await with_.load(with_.folder(3), { spaceId }));
    await scan.close();
    expect(unmeasured).toEqual([]);
    await without.load(await without.copy(3, { number: 4, nowMs: 0 }), { spaceId });
    await without.load(without.folder(2), { spaceId });
    expect(unmeasured).toEqual([{ generation: 4, market: 'us' }]);
  });

  it('starts empty', async () => {
    const store = await openGenerationStore({ dir: at('empty') });
    expect(await store.list()).toEqual({ live: null, generations: [] });
    expect(await store.nextNumber()).toBe(1);
    expect(await store.openLive({ spaceId: 'x', nowMs: 0 })).toEqual({ problems: [] });
  });
});
