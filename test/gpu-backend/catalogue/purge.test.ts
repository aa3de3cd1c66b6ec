/** Rows of ads that were removed long ago: which go, and which are needed yet. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import { createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { killList } from '../../../gpu-backend/catalogue/kill-list.ts';
import { purgeRemoved } from '../../../gpu-backend/catalogue/purge.ts';
import { rows } from '../../../gpu-backend/db/connect.ts';
import { reached } from '../../../gpu-backend/db/counters.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleAd } from '../../setup/samples.ts';

describe.each(DATABASES)('on the %s database', (name, open) => {
  const database = useDatabase(open);
  beforeEach(() => database.db.execute(sql.raw('truncate ads, generations, counters')).then(() => {}));

  const catalogue = () =>
    createCatalogue({
      ...{ db: database.db, space: { spaceId: 'x', dimension: 2 } },
      ...{ follow: async () => {}, onKillListChange: async () => {} },
    });
  const removed = async (id: string, daysAgo: number) => {
    await catalogue().put(sampleAd({ id }));
    await catalogue().remove(id);
    await database.db.execute(
      sql`update ads set deleted_at = now() - make_interval(days => ${daysAgo}::int) where id = ${id}`,
    );
  };
  /** A generation of the catalogue as it is. */
  const publish = async (number: number) => {
    await database.db.execute(sql`update generations set status = 'retired'`);
    await database.db.execute(
      sql`insert into generations (number, status, space_id, model, ads, catalogue_revision, created_at)
          values (${number}, 'live', 'x', 'm', 1, ${await reached(database.db, 'catalogue')}, now())`,
    );
  };
  const ids = async () => (await rows<{ id: string }>(database.db, sql`select id from ads`)).map(({ id }) => id).sort();

  it('are those that no generation and no kill list can name, so many days after', async () => {
    await catalogue().put(sampleAd({ id: 'booked' }));
    await removed('again', 31);
    await catalogue().put(sampleAd({ id: 'again' }));
    await removed('lately', 29);
    await removed('long-ago', 31);
    const revision = await reached(database.db, 'catalogue');
    expect(await purgeRemoved(database.db, { days: 30 })).toBe(0); // nothing was published yet
    await publish(1);
    await removed('since-the-one-before', 31);
    await publish(2);
    await removed('since-the-live-one', 31);
    const killed = await killList(database.db);
    expect(killed).toContain('since-the-live-one');
    expect(await purgeRemoved(database.db, { days: 30 })).toBe(1);
    expect(await ids()).toEqual(['again', 'booked', 'lately', 'since-the-live-one', 'since-the-one-before']);
    expect(await killList(database.db)).toEqual(killed);
    expect(await reached(database.db, 'purged')).toBe(revision);
    expect(await purgeRemoved(database.db, { days: 30 })).toBe(0);
    expect(await reached(database.db, 'purged')).toBe(revision);
    // one of the same name is another
    await catalogue().put(sampleAd({ id: 'long-ago' }));
    expect(await ids()).toContain('long-ago');
  });

  it('go in chunks, however many there are', async () => {
    for (let i = 0; i < 5; i++) await removed(`gone-${i}`, 31);
    await publish(1);
    expect(await purgeRemoved(database.db, { days: 30, chunk: 2 })).toBe(5);
    expect(await ids()).toEqual([]);
  });

  it.runIf(name === 'server')('wait for nobody who puts one of them again', async () => {
    await removed('put-again', 31);
    await removed('gone', 31);
    await publish(1);
    await database.db.transaction(async (tx) => {
      await tx.execute(sql`update ads set deleted_at = null where id = 'put-again'`);
      expect(await purgeRemoved(database.db, { days: 30 })).toBe(1);
    });
    expect(await ids()).toEqual(['put-again']);
  });
});
