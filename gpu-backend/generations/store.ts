/**
 * The generations on disk: which exist, which one is live, and what happens to the others. The live pointer is a file
 * replaced by rename, so a crash leaves the old or the new one; numbers only grow, a rollback included, because caches
 * believe the greatest number.
 */
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Generation } from '../../shared/contract/generations.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Milvus } from '../index/milvus.ts';
import { makeFolder } from '../make-folder.ts';
import { seal } from './build.ts';
import { FILES, type GenerationManifest, IN_MILVUS, manifestJson, parseGenerationManifest } from './layout.ts';
import { closeGeneration, type LoadedGeneration, loadGeneration, type SearchedIn } from './load.ts';
import { Failed, Published, readRecord, replaceFile } from './records.ts';

export interface GenerationStore {
  /** Folder of all generations. */
  readonly dir: string;
  /** Where the indices of new generations go; absent, into their folders. */
  readonly milvus: Milvus | undefined;
  list(): Promise<{ live: number | null; generations: Generation[] }>;
  /** A number that no generation had yet. */
  nextNumber(): Promise<number>;
  /** Number of the live generation. */
  live(): Promise<number | null>;
  /** Removes what an interrupted build left; only while nobody builds. */
  sweep(): Promise<void>;
  folder(number: number): string;
  /** Loads the generation in a folder; throws what {@link loadGeneration} throws. */
  load(path: string, options: { spaceId: string }): Promise<LoadedGeneration>;
  /**
   * Makes a built generation the live one, durably, and removes what is older than the last `keep`. What the gate found of its
   * indices joins the manifest. Throws `conflict` when a greater number is live by then.
   */
  publish(
    number: number,
    options: { recall: number | null; nowMs: number } & Pick<GenerationManifest, 'expansionSearch' | 'scanned'>,
  ): Promise<void>;
  /** Leaves of a built generation only the record that it failed, and why. */
  fail(number: number, options: { reason: string; nowMs: number }): Promise<void>;
  /** A new generation with the content of a published one; throws `not_found` when there is none of that number. */
  copy(
    from: number,
    options: { number: number; nowMs: number } & Pick<GenerationManifest, 'insteadOf'>,
  ): Promise<string>;
  /**
   * Loads the live generation or, where it is damaged, the last published one that is whole, brought back under a new
   * number, whose manifest names the one it replaces. `problems` says why others were passed over, in the order tried;
   * `loaded` is absent when none is usable.
   */
  openLive(options: { spaceId: string; nowMs: number }): Promise<{
    loaded?: LoadedGeneration;
    problems: { number: number; error: HarnessError }[];
  }>;
}

/** Of a generation that was not built: where its content is from, and why it is live. */
function originOf({ copyOf, insteadOf }: GenerationManifest): string | null {
  if (copyOf === null) return null;
  const because = insteadOf === undefined ? '' : `, because ${insteadOf} could not be loaded`;
  return `content of generation ${copyOf}${because}`;
}

/**
 * Opens the store in folder `dir`. `keep` is how many published generations stay; `onLeftOver` learns why one that
 * should have gone could not be removed.
 */
export async function openGenerationStore({
  dir,
  keep = 3,
  milvus,
  scan,
  onUnmeasured,
  onLeftOver = () => undefined,
}: SearchedIn & {
  dir: string;
  keep?: number;
  onLeftOver?: (error: unknown) => void;
}): Promise<GenerationStore> {
  makeFolder('HARNESS_GENERATIONS', dir);

  const folder = (number: number) => join(dir, String(number));
  const numbers = async () =>
    (await readdir(dir))
      .filter((name) => /^[1-9]\d*$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  const published = (number: number) => readRecord(join(folder(number), 'published.json'), Published);
  const live = async () => (await readRecord(join(dir, 'live'), z.int().positive())) ?? null;
  const manifestOf = async (number: number): Promise<GenerationManifest | undefined> => {
    try {
      const path = join(folder(number), FILES.manifest);
      return parseGenerationManifest(await readFile(path, 'utf8'), path);
    } catch {
      return undefined;
    }
  };
  const load: GenerationStore['load'] = (path, { spaceId }) =>
    loadGeneration(path, { spaceId, milvus, scan, onUnmeasured });
  const nextNumber = async () => Math.max(0, (await live()) ?? 0, ...(await numbers())) + 1;

  const describe = async (number: number, liveNumber: number | null): Promise<Generation | undefined> => {
    const failed = await readRecord(join(folder(number), 'failed.json'), Failed);
    if (failed !== undefined) return { number, status: 'failed', recall: null, publishedAt: null, ...failed };
    const [manifest, publication] = [await manifestOf(number), await published(number)];
    if (manifest === undefined) return undefined;
    return {
      number,
      status: number === liveNumber ? 'live' : 'retired',
      spaceId: manifest.spaceId,
      model: manifest.model,
      ads: manifest.ads,
      recall: publication?.recall ?? null,
      reason: originOf(manifest),
      createdAt: manifest.createdAt,
      publishedAt: publication?.publishedAt ?? null,
    };
  };

  const collect = async (liveNumber: number) => {
    const whole: number[] = [];
    for (const number of await numbers()) if ((await published(number)) !== undefined) whole.push(number);
    const kept = new Set([liveNumber, ...whole.slice(-keep)]);
    const oldest = Math.min(...kept);
    for (const number of await numbers()) {
      if (!kept.has(number) && (number < oldest || whole.includes(number))) {
        await dropCollections(number);
        await rm(folder(number), { recursive: true });
      }
    }
    await dropUnfinished();
  };

  const collectionsOf = async (number: number) => Object.values((await manifestOf(number))?.collections ?? {});

  /** Those in Milvus that no other generation names: a copy shares its original's. */
  const dropCollections = async (number: number) => discard(await collectionsOf(number), { but: number });

  const discard = async (collections: readonly string[], { but }: { but?: number } = {}) => {
    if (milvus === undefined) return;
    const named = new Set<string>();
    for (const number of await numbers())
      if (number !== but) for (const collection of await collectionsOf(number)) named.add(collection);
    for (const collection of collections) if (!named.has(collection)) await milvus.discard(collection);
  };

  /** What unfinished builds have left in Milvus; only to be called while nobody builds. */
  const dropUnfinished = async () => {
    for (const name of (await readdir(dir)).filter((each) => each.endsWith(IN_MILVUS))) {
      await discard((await readRecord(join(dir, name), z.array(z.string()))) ?? []);
      await rm(join(dir, name));
    }
  };

  const publish: GenerationStore['publish'] = async (number, { recall, expansionSearch, scanned = [], nowMs }) => {
    const before = await live();
    // A publisher whose session ended has lost the lock that keeps others out, and may not know.
    if (before !== null && before > number)
      throw new HarnessError('conflict', `Generation ${before} was published while ${number} was being made.`);
    const manifest = await manifestOf(number);
    const found = manifest && { ...manifest, expansionSearch, ...(scanned.length > 0 && { scanned }) };
    if (found !== undefined && expansionSearch !== undefined)
      await replaceFile(folder(number), FILES.manifest, manifestJson(found));
    const record = { publishedAt: new Date(nowMs).toISOString(), recall };
    await replaceFile(folder(number), 'published.json', `${JSON.stringify(record)}\n`);
    // Before the pointer: a fault here leaves the old generation live. Only others search by the alias.
    for (const [market, collection] of Object.entries(manifest?.collections ?? {}))
      await milvus?.promote(milvus.aliasOf(market), collection);
    await replaceFile(dir, 'live', `${number}\n`);
    // It is live by now, whatever becomes of old ones: the next publication tries again what could not be removed.
    await collect(number).catch(onLeftOver);
  };

  const copy: GenerationStore['copy'] = async (from, { number, nowMs, insteadOf }) => {
    const original = await manifestOf(from);
    if (original === undefined || (await published(from)) === undefined) {
      const there = (await list()).generations.filter(({ publishedAt }) => publishedAt !== null);
      throw new HarnessError(
        'not_found',
        `Generation ${from} was never published or is gone; there are ${there.map((g) => g.number).join(', ') || 'none'}.`,
      );
    }
    const building = join(dir, `building-${number}`);
    await rm(building, { recursive: true, force: true });
    await mkdir(building);
    try {
      for (const { file } of original.files) {
        const [source, target] = [join(folder(from), file), join(building, file)];
        if (!existsSync(source))
          throw new HarnessError('not_found', `Generation ${from} has lost its ${file}: roll back to another one.`);
        // Generations never change, so sharing the bytes is safe; some file systems cannot.
        await link(source, target).catch(() => copyFile(source, target));
      }
      const { insteadOf: _its, ...content } = original;
      return await seal(building, dir, {
        ...content,
        number,
        createdAt: new Date(nowMs).toISOString(),
        copyOf: from,
        ...(insteadOf !== undefined && { insteadOf }),
      });
    } catch (error) {
      await rm(building, { recursive: true, force: true });
      throw error;
    }
  };

  const list: GenerationStore['list'] = async () => {
    const liveNumber = await live();
    const generations: Generation[] = [];
    for (const number of await numbers()) {
      const generation = await describe(number, liveNumber);
      if (generation !== undefined) generations.push(generation);
    }
    return { live: liveNumber, generations };
  };

  return {
    dir,
    milvus,
    load,
    async sweep() {
      await dropUnfinished();
      for (const name of await readdir(dir)) {
        if (name.startsWith('building-') || name.endsWith('.next'))
          await rm(join(dir, name), { recursive: true, force: true });
      }
    },
    list,
    nextNumber,
    live,
    folder,
    publish,
    copy,
    async fail(number, { reason, nowMs }) {
      const manifest = await manifestOf(number);
      const record = {
        reason,
        createdAt: manifest?.createdAt ?? new Date(nowMs).toISOString(),
        spaceId: manifest?.spaceId ?? '',
        model: manifest?.model ?? '',
        ads: manifest?.ads ?? 0,
      };
      await dropCollections(number);
      const remove = (file: string) => rm(join(folder(number), file), { force: true });
      await remove('published.json'); // what failed takes nobody's place among those that are kept
      // Before the record: where the disk is full there is room for it then.
      for (const { file } of manifest?.files ?? []) await remove(file);
      await replaceFile(folder(number), 'failed.json', `${JSON.stringify(record)}\n`);
      await remove(FILES.manifest);
    },
    async openLive({ spaceId, nowMs }) {
      const problems: { number: number; error: HarnessError }[] = [];
      const pointed = await live();
      const others = (await numbers()).reverse().filter((number) => number !== pointed);
      for (const number of pointed === null ? others : [pointed, ...others]) {
        const publication = await published(number);
        if (publication === undefined && number !== pointed) continue;
        try {
          const loaded = await load(folder(number), { spaceId });
          if (number === pointed) return { loaded, problems };
          await closeGeneration(loaded); // it was to show that it is whole
          const next = await nextNumber();
          const [first] = problems;
          // Of another space or without its Milvus it is passed over by somebody's decision; else a new build mends it.
          const mended = ['bundle_damaged', 'internal'].includes(first?.error.code ?? '');
          const insteadOf = mended ? first!.number : undefined;
          const path = await copy(number, { number: next, nowMs, insteadOf });
          await publish(next, { recall: publication?.recall ?? null, nowMs });
          return { loaded: await load(path, { spaceId }), problems };
        } catch (error) {
          if (!(error instanceof HarnessError)) throw error;
          problems.push({ number, error });
        }
      }
      return { problems };
    },
  };
}
