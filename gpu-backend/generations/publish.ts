/**
 * Publication, in order: read the catalogue, resolve vectors, build beside the live generation, gate, make it durable, swap.
 * One at a time; a step that fails leaves the live generation as it was.
 */

import { availableParallelism } from 'node:os';
import { adText } from '../../shared/ad-text.ts';
import { MOST_IN_BATCH } from '../../shared/contract/ads.ts';
import type { Generation } from '../../shared/contract/generations.ts';
import { HarnessError } from '../../shared/problem.ts';
import { normalize } from '../../shared/text.ts';
import { isActive } from '../catalogue/eligibility.ts';
import type { Encoder } from '../encoder/encoder.ts';
import { inTurns } from '../in-turns.ts';
import { buildGeneration } from './build.ts';
import { encodeBeside } from './encode-beside.ts';
import { checkGeneration } from './gate.ts';
import type { CatalogueSince, Live } from './live.ts';
import { closeGeneration, type LoadedGeneration } from './load.ts';
import type { GenerationStore } from './store.ts';
import type { CatalogueAd, VectorLadder } from './vectors.ts';

export interface PublisherOptions {
  store: GenerationStore;
  live: Live;
  encoder: Encoder;
  ladder: VectorLadder;
  /** All ads as the database holds them now, paused ones included, with their revisions. */
  readCatalogue: () => Promise<CatalogueAd[]>;
  /** Normalized queries that people asked, most telling first; the gate measures recall on them. */
  sampleQueries?: () => Promise<string[]>;
  /** Epoch milliseconds. */
  now: () => number;
  /** Native threads of an index build; by default all for the first and one while queries are served. */
  buildThreads?: number;
}

export type Phase = 'vectors' | 'index' | 'check';
export interface PublishOptions {
  onProgress?: (phase: Phase, done: number, total: number) => void;
  signal?: AbortSignal;
  /** Publish even if the catalogue shrank to less than half. */
  force?: boolean;
}

export interface Publisher {
  /** Builds from the catalogue and publishes. Throws `conflict` while another publication runs, `gate_failed`. */
  build(options?: PublishOptions): Promise<Generation>;
  /** Publishes the content of an older generation under a new number; ads are as the catalogue has them now. */
  rollback(to: number): Promise<Generation>;
  /**
   * At start: brings up the live generation, or the last whole one, with the catalogue as it is now. Answers the number,
   * `null` when none can be served (then build), and why others were passed over.
   */
  start(): Promise<{ number: number | null; problems: { number: number; error: HarnessError }[] }>;
  /**
   * Takes over what another backend published into the same folder, generation `number` or by now a later one, unless a
   * publication runs here. Throws `not_found` when the live one there is older.
   */
  follow(number: number): Promise<void>;
  /** Number being built, for `/v1/generations`. */
  readonly building: number | null;
}

/** Queries of the gate: their mean recall is off by about half a point. */
const GATE_QUERIES = 200;

export function createPublisher(options: PublisherOptions): Publisher {
  const { store, live, encoder, ladder, now } = options;
  const { spaceId, dimension } = encoder;
  let busy = false;
  let building: number | null = null;

  const alone = async <T>(work: () => Promise<T>): Promise<T> => {
    if (busy) throw new HarnessError('conflict', 'Another publication is running; wait for it to finish.');
    busy = true;
    try {
      return await work();
    } finally {
      busy = false;
      building = null;
    }
  };

  /** A step after which the number is used up: a failure leaves a record of its reason in the folder. */
  const orFail = async <T>(number: number, step: () => Promise<T>): Promise<T> => {
    try {
      return await step();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      await store.fail(number, { reason, nowMs: now() }).catch(() => {}); // the step's own reason says more
      throw error;
    }
  };

  /** A step before a loaded generation goes live: closed where the step fails. */
  const orClose = async <T>(loaded: LoadedGeneration, step: () => Promise<T>): Promise<T> => {
    try {
      return await step();
    } catch (error) {
      await closeGeneration(loaded);
      throw error;
    }
  };

  /** Asked queries, and titles of evenly chosen ads where there are too few. */
  const gateQueries = async (generation: LoadedGeneration, signal: AbortSignal | undefined) => {
    const asked = (await options.sampleQueries?.()) ?? [];
    const stride = Math.max(1, Math.floor(generation.ads.length / GATE_QUERIES));
    const titles = generation.ads.filter((_, row) => row % stride === 0).map(({ ad }) => normalize(ad.title));
    const texts = [...new Set([...asked, ...titles])].slice(0, GATE_QUERIES);
    const vectors: Float32Array[] = [];
    const beside = encodeBeside(encoder, { count: texts.length, textOf: (i) => texts[i]!, patient: true, signal });
    for await (const vector of beside) vectors.push(vector);
    return vectors;
  };

  /**
   * What changed in the catalogue since the generation's snapshot, with vectors for texts and uploads that it may not
   * have. Of a bulk load what is new or reworded is left for the next generation.
   */
  const since = async (generation: LoadedGeneration): Promise<CatalogueSince> => {
    const { ads, rowOf } = generation;
    const kept = new Uint8Array(ads.length);
    const known = ({ ad }: CatalogueAd) => {
      const row = rowOf.get(ad.id);
      return row === undefined ? undefined : ads[row]!;
    };
    const newer: CatalogueAd[] = [];
    const byCommit = new Map<number, number>();
    await inTurns(await options.readCatalogue(), (entry) => {
      const row = rowOf.get(entry.ad.id);
      if (row !== undefined) kept[row] = 1;
      if (entry.revision <= (known(entry)?.revision ?? -1)) return;
      newer.push(entry);
      byCommit.set(entry.revision, (byCommit.get(entry.revision) ?? 0) + 1);
    });
    const changed: CatalogueAd[] = [];
    const needy: CatalogueAd[] = [];
    const left = new Map<number, number>();
    await inTurns(newer, (entry) => {
      const { ad, revision, uploaded } = entry;
      const before = known(entry);
      const needs = before === undefined || uploaded !== undefined || adText(before.ad) !== adText(ad);
      const bulk = byCommit.get(revision)! > MOST_IN_BATCH;
      // One by one a million ads would take hours; what was paused by it is paused at once.
      if (bulk && needs && (before === undefined || isActive(ad))) left.set(revision, (left.get(revision) ?? 0) + 1);
      else changed.push(entry);
      if (needs && !bulk) needy.push(entry);
    });
    const gone: string[] = [];
    await inTurns(ads, ({ ad }, row) => kept[row] === 0 && gone.push(ad.id));
    const vectors = await ladder.resolve(needy, { patient: true });
    const vectorOf = new Map(needy.map(({ ad }, i) => [ad.id, vectors[i]]));
    return {
      changed: changed.map(({ ad, revision }) => ({ ad, revision, vector: vectorOf.get(ad.id) })),
      gone,
      left: [...left].map(([revision, ads]) => ({ revision, ads })),
    };
  };

  const listed = async (number: number): Promise<Generation> => {
    const { generations } = await store.list();
    const generation = generations.find((candidate) => candidate.number === number);
    if (generation === undefined)
      throw new HarnessError('internal', `Generation ${number} vanished after publication.`);
    return generation;
  };

  return {
    get building() {
      return building;
    },
    build: ({ onProgress, signal, force } = {}) =>
      alone(async () => {
        const number = await store.nextNumber();
        building = number;
        const ads = await options.readCatalogue();
        const vectors = await ladder.resolve(ads, {
          onProgress: (done, total) => onProgress?.('vectors', done, total),
          patient: true,
          ...(signal === undefined ? {} : { signal }),
        });
        const path = await buildGeneration({
          number,
          dir: store.dir,
          milvus: store.milvus,
          ads,
          vectorOf: (row) => vectors[row]!,
          spaceId,
          dimension,
          model: encoder.model,
          nowMs: now(),
          // The first build has the machine to itself; later ones leave it to the queries.
          threads: options.buildThreads ?? (live.view === undefined ? availableParallelism() : 1),
          onProgress: (done, total) => onProgress?.('index', done, total),
          ...(signal === undefined ? {} : { signal }),
        });
        const generation = await orFail(number, async () => {
          onProgress?.('check', 0, 1);
          const loaded = await store.load(path, { spaceId });
          await orClose(loaded, async () => {
            const queries = await gateQueries(loaded, signal);
            const liveAds = live.view?.ads ?? 0;
            const checked = await checkGeneration(loaded, { spaceId, queries, liveAds, force: force ?? false });
            await store.publish(number, { ...checked, nowMs: now() });
          });
          return loaded;
        });
        await live.swap(generation);
        onProgress?.('check', 1, 1);
        return listed(number);
      }),
    rollback: (to) =>
      alone(async () => {
        const number = await store.nextNumber();
        building = number;
        const { generations } = await store.list();
        const recall = generations.find((candidate) => candidate.number === to)?.recall ?? null;
        const path = await store.copy(to, { number, nowMs: now() });
        const [generation, news] = await orFail(number, async () => {
          const loaded = await store.load(path, { spaceId });
          return orClose(loaded, async () => {
            const news = await since(loaded);
            await store.publish(number, { recall, nowMs: now() });
            return [loaded, news] as const;
          });
        });
        await live.swap(generation, news);
        return listed(number);
      }),
    start: () =>
      alone(async () => {
        await store.sweep();
        const { loaded, problems } = await store.openLive({ spaceId, nowMs: now() });
        if (loaded === undefined) return { number: null, problems };
        await live.swap(loaded, await orClose(loaded, () => since(loaded)));
        return { number: loaded.manifest.number, problems };
      }),
    async follow(number) {
      if (busy) return;
      await alone(async () => {
        const there = await store.live();
        if (there === null || there < number) {
          throw new HarnessError(
            'not_found',
            `Generation ${number} was published by another backend, ${store.dir} has ${there ?? 'none'}: backends that share a database share HARNESS_GENERATIONS.`,
          );
        }
        const loaded = await store.load(store.folder(there), { spaceId });
        await live.swap(loaded, await orClose(loaded, () => since(loaded)));
      });
    },
  };
}
