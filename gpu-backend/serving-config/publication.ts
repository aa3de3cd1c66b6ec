/**
 * Publications as the database and the edges see them. The files decide what is live (generations/store.ts); the row here
 * says which catalogue commit a generation covers, and a publication raises the configuration's version. The row is
 * written before the swap, so that after a crash in between the next start knows it.
 */
import { eq, inArray, max, sql } from 'drizzle-orm';
import type { z } from 'zod';
import type { Generation, GenerationList } from '../../shared/contract/generations.ts';
import { HarnessError } from '../../shared/problem.ts';
import { catalogueAds } from '../catalogue/follow.ts';
import { changesSince } from '../catalogue/rows.ts';
import { type Database, rows } from '../db/connect.ts';
import { raise, reached } from '../db/counters.ts';
import { ELSEWHERE, type Exclusive } from '../db/exclusive.ts';
import { generations } from '../db/schema.ts';
import { createPublisher, type PublisherOptions } from '../generations/publish.ts';
import type { CatalogueAd } from '../generations/vectors.ts';
import type { ServingConfigSource } from './serving-config.ts';

export interface PublicationOptions extends Omit<PublisherOptions, 'readCatalogue' | 'sampleQueries'> {
  db: Database;
  /** One publication at a time, of all backends that share the database. */
  exclusive: Exclusive;
  config: ServingConfigSource;
}

export interface Publication {
  /**
   * Builds from the catalogue and publishes. Throws `conflict` while another runs, without ads, or when another generation than
   * `over` is live by then, where that is given; `gate_failed`. `force` publishes even if the catalogue shrank to less than half.
   */
  build(options?: { signal?: AbortSignal; over?: number; force?: boolean }): Promise<Generation>;
  /** Publishes the content of an older generation under a new number. Throws `not_found`, `conflict`. */
  rollBack(to: number): Promise<Generation>;
  /** Writes down what is live here and was not, because the database went away between the swap and the row. To be called again and again. */
  settle(): Promise<void>;
  list(): Promise<z.infer<typeof GenerationList>>;
  isBuilding(): boolean;
  /** Takes over generation `number`, which another backend published. Throws `not_found` where its files are not shared. */
  follow(number: number): Promise<void>;
  /** Brings up the live generation; `number` is `null` when there is none to serve, `problems` are those passed over. */
  start(): Promise<{ number: number | null; problems: { number: number; error: HarnessError }[] }>;
}

/**
 * Recent queries from which the most asked are taken for the gate; what a clock that is ahead has dated would stay
 * recent for ever.
 */
const RECENT = 20_000;

export function createPublication({ db, config, exclusive, ...options }: PublicationOptions): Publication {
  const { encoder } = options;
  const store = {
    ...options.store,
    // The database may remember numbers that the folder has lost; an edge that has seen them would ignore lower ones.
    nextNumber: async () => Math.max(await options.store.nextNumber(), (await greatest(db)) + 1),
  };
  const publisher = createPublisher({
    ...options,
    store,
    readCatalogue: async () => {
      const { revision, ads } = await snapshot(db, encoder.spaceId);
      if (publisher.building !== null) await announce(publisher.building, revision, ads.length);
      return ads;
    },
    sampleQueries: () => mostAsked(db),
  });

  /** The row of a generation that is being made, with what it covers. */
  async function announce(number: number, catalogueRevision: number, ads: number): Promise<void> {
    const { spaceId, model } = encoder;
    const row = {
      status: 'building' as const,
      spaceId,
      model,
      ads,
      catalogueRevision,
      createdAt: new Date(options.now()),
    };
    await db
      .insert(generations)
      .values({ number, ...row })
      .onConflictDoUpdate({ target: generations.number, set: row });
  }

  /** Writes down which generation is live, and tells the edges. */
  async function record(live: Generation): Promise<void> {
    await db.transaction(async (tx) => {
      await raise(tx, 'config'); // first: its lock lets one writer write at a time
      // Where the session with the lock has ended, another backend may have published meanwhile: numbers only grow.
      const isNewest = live.number >= (await greatest(tx, ['live']));
      if (isNewest) await tx.update(generations).set({ status: 'retired' }).where(eq(generations.status, 'live'));
      const { number, spaceId, model, ads, recall, reason } = live;
      const values = {
        status: isNewest ? ('live' as const) : ('retired' as const),
        spaceId,
        model,
        ads,
        recall,
        reason,
        createdAt: new Date(live.createdAt),
        publishedAt: live.publishedAt === null ? null : new Date(live.publishedAt),
      };
      // Unannounced means brought back at start, when nothing newer than the catalogue of this moment was ever served.
      const catalogueRevision = await reached(tx, 'catalogue');
      await tx
        .insert(generations)
        .values({ number, catalogueRevision, ...values })
        .onConflictDoUpdate({ target: generations.number, set: values });
    });
    await config.refresh();
  }

  async function publish(work: () => Promise<Generation>): Promise<Generation> {
    try {
      const generation = await exclusive(async () => {
        const made = await work();
        await record(made);
        return made;
      });
      if (generation === ELSEWHERE)
        throw new HarnessError('conflict', 'Another backend is publishing; wait for it to finish.');
      return generation;
    } catch (error) {
      // Where the database is away, settle() or the next start writes it down.
      if (!publicationRuns(error)) await abandon(db, error).catch(() => {});
      throw error;
    }
  }

  const startAlone: Publication['start'] = async () => {
    const { number, problems } = await publisher.start();
    if (number === null) return { number, problems };
    if (number < (await greatest(db, ['live', 'retired']))) {
      const generation = await publisher.rollback(number);
      await record(generation);
      return { number: generation.number, problems };
    }
    const { generations: there } = await store.list();
    if (config.current().generation !== number) await record(there.find((generation) => generation.number === number)!);
    return { number, problems };
  };

  return {
    async build({ signal, over, force = false } = {}) {
      const [row] = await rows<{ any: boolean }>(
        db,
        sql`select exists (select from ads where deleted_at is null) as any`,
      );
      if (!row!.any) throw new HarnessError('conflict', 'The catalogue is empty: put ads first, then build.');
      return publish(async () => {
        const number = over === undefined ? over : await greatest(db, ['live']);
        if (number !== over)
          throw new HarnessError('conflict', `Generation ${number} was published in the place of ${over} meanwhile.`);
        return publisher.build({ force, ...(signal === undefined ? {} : { signal }) });
      });
    },
    rollBack: (to) => publish(() => publisher.rollback(to)),
    async settle() {
      const number = options.live.view?.number ?? 0;
      if (publisher.building !== null || number <= (config.current().generation ?? 0)) return;
      await exclusive(async () => {
        const there = (await store.list()).generations.find((generation) => generation.number === number);
        if (there?.status === 'live' && number > (await greatest(db, ['live', 'retired']))) await record(there);
        else await config.refresh();
      });
    },
    async list() {
      const listed = await store.list();
      const number = publisher.building;
      if (number === null) return listed;
      const made = listed.generations.find((generation) => generation.number === number);
      // Whole and not yet live, it is no older one.
      if (made?.status === 'retired') made.status = 'building';
      if (made !== undefined) return listed;
      const [row] = await db.select().from(generations).where(eq(generations.number, number));
      if (row === undefined) return listed;
      const { status, spaceId, model, ads, recall, reason, createdAt } = row;
      const times = { createdAt: createdAt.toISOString(), publishedAt: null };
      const building = { number, status, spaceId, model, ads, recall, reason, ...times };
      return { ...listed, generations: [...listed.generations, building] };
    },
    isBuilding: () => publisher.building !== null,
    follow: (number) => publisher.follow(number),
    async start() {
      const started = await exclusive(startAlone);
      if (started !== ELSEWHERE) return started;
      // Another backend publishes or starts: what is live is taken as it is, and what it publishes is followed.
      const number = await store.live();
      if (number !== null) await publisher.follow(number);
      return { number, problems: [] };
    },
  };
}

/** The greatest number in the database, 0 without any. */
async function greatest(db: Database, among: Generation['status'][] = []): Promise<number> {
  const [row] = await db
    .select({ number: max(generations.number) })
    .from(generations)
    .where(among.length === 0 ? undefined : inArray(generations.status, among));
  return row?.number ?? 0;
}

/** The whole catalogue and the commit that it is of. */
function snapshot(db: Database, spaceId: string): Promise<{ revision: number; ads: CatalogueAd[] }> {
  return db.transaction(
    async (tx) => {
      const revision = await reached(tx, 'catalogue');
      const ads = await catalogueAds(await changesSince(tx, 0, spaceId, { alive: true }));
      return { revision, ads: ads.filter((entry) => entry !== undefined) };
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
  );
}

/** Normalized queries, the most asked first; none where QUERY_LOG = digest keeps no words. */
async function mostAsked(db: Database): Promise<string[]> {
  const asked = await rows<{ query: string }>(
    db,
    sql`select query from (select query from impressions where at <= now() order by at desc limit ${RECENT}) recent
        where query not like 'digest:%' group by query order by count(*) desc, query limit 100`,
  );
  return asked.map(({ query }) => query).filter((query) => query !== '');
}

const publicationRuns = (error: unknown) => error instanceof HarnessError && error.code === 'conflict';

/** A publication that failed leaves its number used, and its reason. */
async function abandon(db: Database, error: unknown): Promise<void> {
  const reason = error instanceof Error ? error.message : String(error);
  await db.update(generations).set({ status: 'failed', reason }).where(eq(generations.status, 'building'));
}
