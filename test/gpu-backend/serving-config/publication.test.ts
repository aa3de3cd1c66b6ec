/** A publication over a real database: what must hold when several ask for one. */
import { eq, sql } from 'drizzle-orm';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { type Catalogue, createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { purgeRemoved } from '../../../gpu-backend/catalogue/purge.ts';
import type { Database } from '../../../gpu-backend/db/connect.ts';
import { reached } from '../../../gpu-backend/db/counters.ts';
import { generations } from '../../../gpu-backend/db/schema.ts';
import type { Encoder } from '../../../gpu-backend/encoder/encoder.ts';
import { ingest } from '../../../gpu-backend/events/ingest.ts';
import { Live } from '../../../gpu-backend/generations/live.ts';
import type { GenerationStore } from '../../../gpu-backend/generations/store.ts';
import { createPublication, type Publication } from '../../../gpu-backend/serving-config/publication.ts';
import { openServingConfig, type ServingConfigSource } from '../../../gpu-backend/serving-config/serving-config.ts';
import type { Generation } from '../../../shared/contract/generations.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { smallBundle, smallCatalogue, smallHouse } from '../../fixtures/small-house.ts';
import { openEmbeddedDatabase } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleAd, sampleImpression } from '../../setup/samples.ts';

const at = testFolder('publication');
const database = useDatabase(openEmbeddedDatabase);
let publication: Publication;
/** Another backend's, over the same database and folder; nothing keeps one of them out. */
let another: (live: Live) => Publication;
let config: ServingConfigSource;
let catalogue: Catalogue;
let live: Live;
/** Transactions fail from the next publication on. */
let goesAway = false;
let away = false;
/** Texts that were encoded. */
const encoded: string[] = [];
/** Called before each batch of these. */
let whileEncoding = async () => {};

beforeAll(async () => {
  const db: Database = new Proxy(database.db, {
    get: (target, name) =>
      name === 'transaction' && away ? () => Promise.reject(new Error('away')) : Reflect.get(target, name),
  });
  const house = await smallHouse({ bundle: await smallBundle(at('bundle')), dataDir: at('data') });
  const { ladder } = house;
  ({ live } = house);
  const encoder: Encoder = new Proxy(house.encoder, {
    get(target, name) {
      if (name !== 'encode') return Reflect.get(target, name, target);
      return async (...[texts, options]: Parameters<Encoder['encode']>) => {
        encoded.push(...texts);
        await whileEncoding();
        return target.encode(texts, options);
      };
    },
  });
  const store: GenerationStore = {
    ...house.store,
    async publish(...published) {
      await house.store.publish(...published);
      away = goesAway;
    },
  };
  catalogue = createCatalogue({
    ...{ db, space: encoder },
    follow: async () => {},
    onKillListChange: async () => {},
  });
  await catalogue.putMany(smallCatalogue());
  config = await openServingConfig(db, DEFAULT_CONFIG);
  another = (of) =>
    createPublication({
      ...{ db, config, store, live: of, encoder, ladder, now: Date.now },
      exclusive: (work) => work(),
    });
  publication = another(live);
  return house.close;
});

it('is refused over a generation that is no longer the live one, and uses up no number', async () => {
  expect((await publication.build()).number).toBe(1);
  await expect(publication.build({ over: 7 })).rejects.toMatchObject({
    code: 'conflict',
    message: 'Generation 1 was published in the place of 7 meanwhile.',
  });
  expect((await publication.build({ over: 1 })).number).toBe(2);
  await expect(publication.build({ over: 1 })).rejects.toMatchObject({ code: 'conflict' });
  expect((await publication.list()).live).toBe(2);
});

it('is gated by what people asked of late: not by digests of it, nor by what a clock that is ahead dates', async () => {
  const asked = (id: string, query: string, atMs: number) => sampleImpression({ id: `impression-${id}`, query, atMs });
  const now = Date.now();
  const { rejected } = await ingest(
    [
      asked('1', 'a couch, please', now - 60_000),
      asked('2', 'digest:5f2b8c', now - 1_000),
      asked('3', 'of next year', now + 365 * 86_400_000),
    ],
    { db: database.db },
  );
  expect(rejected).toEqual([]);
  encoded.length = 0;
  await publication.build();
  expect(encoded).toContain('a couch, please');
  expect(encoded.filter((text) => /digest|next year/.test(text))).toEqual([]);
});

it('that the database did not hear of is written down when it is back, once', async () => {
  goesAway = true;
  await expect(publication.build()).rejects.toThrow('away');
  [goesAway, away] = [false, false];
  const before = await config.refresh();
  expect([live.view?.number, before.generation]).toEqual([4, 3]);
  await publication.settle();
  expect(config.current()).toMatchObject({ generation: 4, version: before.version + 1 });
  const [row, ...others] = await database.db.select().from(generations).where(eq(generations.status, 'live'));
  expect([row, others]).toMatchObject([{ number: 4, reason: null }, []]);
  await publication.settle();
  expect((await config.refresh()).version).toBe(before.version + 1);
});

it('is listed as being built until it is live, and covers the commits that it was built from, not those meanwhile', async () => {
  const { id } = await catalogue.put(sampleAd({ title: 'violet sofa' })); // of which nobody has a vector
  const covered = await reached(database.db, 'catalogue');
  const seen: Generation[] = [];
  whileEncoding = async () => {
    seen.push((await publication.list()).generations.at(-1)!);
    await catalogue.patch(id, { bidMicros: seen.length });
  };
  onTestFinished(() => {
    whileEncoding = async () => {};
  });
  const { number } = await publication.build();
  expect(seen.length).toBeGreaterThan(1); // of ads, and of queries for the gate
  for (const one of seen)
    expect(one).toMatchObject({ number, status: 'building', publishedAt: null, ads: smallCatalogue().length + 1 });
  expect((await publication.list()).generations.at(-1)).toMatchObject({ number, status: 'live' });
  const [row] = await database.db.select().from(generations).where(eq(generations.number, number));
  expect(row?.catalogueRevision).toBe(covered);
  await database.db.execute(sql`delete from ads where id = ${id}`);
});

it('of a catalogue that shrank unseen to less than half waits for somebody who says that this is so', async () => {
  const before = live.view!.number;
  await database.db.execute(
    sql`update ads set deleted_at = now() where id not in (select id from ads order by id limit 10)`,
  );
  await expect(publication.build()).rejects.toMatchObject({ code: 'gate_failed' });
  expect(live.view!.number).toBe(before);
  expect(await publication.build({ force: true })).toMatchObject({ status: 'live', ads: 10 });
});

it('of an older generation brings back no ad whose row is gone since', async () => {
  const booked = [...live.view!.ids()].sort();
  const older = (await publication.list()).generations.find(({ ads }) => ads > booked.length)!;
  await database.db.execute(sql`update ads set deleted_at = deleted_at - interval '2 days'`);
  expect(await purgeRemoved(database.db, { days: 1 })).toBe(smallCatalogue().length - booked.length);
  expect((await publication.rollBack(older.number)).ads).toBe(older.ads);
  expect([...live.view!.ids()].sort()).toEqual(booked);
});

it('that another backend overtook, because its lock was lost, does not take the place of the later one', async () => {
  const later = Promise.withResolvers<void>();
  const swapping = Promise.withResolvers<void>();
  const slow = new Live(live);
  const swap = slow.swap.bind(slow);
  slow.swap = async (...news) => {
    swapping.resolve();
    await later.promise;
    await swap(...news);
  };
  const overtaken = another(slow).build();
  await swapping.promise;
  const { number } = await publication.build();
  later.resolve();
  expect((await overtaken).number).toBe(number - 1);
  expect((await config.refresh()).generation).toBe(number);
  const rows = await database.db.select().from(generations).where(eq(generations.status, 'live'));
  expect(rows.map((row) => row.number)).toEqual([number]);
  const [row] = await database.db
    .select()
    .from(generations)
    .where(eq(generations.number, number - 1));
  expect(row?.status).toBe('retired');
});
