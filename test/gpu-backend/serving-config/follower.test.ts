/** A backend beside the one that commits: what it takes over at once, what may take longer, and what it leaves for the next generation. */
import { sql } from 'drizzle-orm';
import { beforeEach, expect, it } from 'vitest';
import { createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { Eligibility } from '../../../gpu-backend/catalogue/eligibility.ts';
import type { Follow } from '../../../gpu-backend/catalogue/follow.ts';
import { purgeRemoved } from '../../../gpu-backend/catalogue/purge.ts';
import { Live } from '../../../gpu-backend/generations/live.ts';
import { createFollower, type Follower } from '../../../gpu-backend/serving-config/follower.ts';
import { openServingConfig, type ServingConfigSource } from '../../../gpu-backend/serving-config/serving-config.ts';
import { MOST_IN_BATCH } from '../../../shared/contract/ads.ts';
import { DEFAULT_CONFIG } from '../../../shared/defaults.ts';
import { openEmbeddedDatabase } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleAd } from '../../setup/samples.ts';

const SPACE = { spaceId: '0123456789abcdef', dimension: 4 };
const database = useDatabase(openEmbeddedDatabase);
let live: Live;
let config: ServingConfigSource;
let follower: Follower;
/** Ids that it was told of, and those of them whose vectors it was asked for. */
let held: string[];
let brought: string[];
let followed: number[];
/** What vectors wait for, and what a generation waits for. */
let encoding: Promise<void>;
let loading: Promise<void>;

beforeEach(async () => {
  const { db } = database;
  await db.execute(sql.raw('truncate ads, generations, counters'));
  live = new Live(SPACE);
  config = await openServingConfig(db, DEFAULT_CONFIG);
  [held, brought, followed] = [[], [], []];
  [encoding, loading] = [Promise.resolve(), Promise.resolve()];
  const follow: Follow = {
    async hold(changes) {
      held.push(...changes.map(({ id }) => id));
      return changes.flatMap(({ ad, revision }) => (ad === undefined ? [] : { ad, revision }));
    },
    async bring(ads) {
      brought.push(...ads.map(({ ad }) => ad.id));
      await encoding;
    },
  };
  follower = createFollower({
    ...{ db, spaceId: SPACE.spaceId, live, config, follow, eligibility: new Eligibility(), revision: 0, now: Date.now },
    publication: {
      async follow(number) {
        followed.push(number);
        await loading;
      },
    },
  });
});

/** What another backend writes down of a generation that it published. */
async function publish(number: number): Promise<void> {
  await database.db.execute(
    sql`insert into generations (number, status, space_id, model, ads, catalogue_revision, created_at)
        values (${number}, 'live', '', '', 0, 0, now())`,
  );
  await database.db.execute(sql`update counters set value = value + 1 where name = 'config'`);
}

/** A follower that has these ads, at their revisions, as of the catalogue's first commits, in generation 8. */
function followerWith(ads: Record<string, number>, revision: number): Follower {
  const view = { number: 8, ids: () => Object.keys(ads), revisionOf: (id: string) => ads[id] };
  const hold: Follow['hold'] = async (changes) => {
    held.push(...changes.map(({ id, ad }) => (ad === undefined ? `${id} is gone` : id)));
    return [];
  };
  return createFollower({
    ...{
      db: database.db,
      spaceId: SPACE.spaceId,
      live: { view } as unknown as Live,
      config,
      eligibility: new Eligibility(),
    },
    ...{ follow: { hold, bring: async () => {} }, revision, now: Date.now },
    publication: { follow: async (number) => void followed.push(number) },
  });
}

it('lets go of ads that were removed, and purged, while it was away', async () => {
  await put('gone');
  await put('stays');
  const away = followerWith({ gone: 1, stays: 2, 'its own': 7 }, 2);
  await elsewhere().remove('gone');
  await database.db.execute(sql`update ads set deleted_at = now() - interval '2 days' where id = 'gone'`);
  await database.db.execute(
    sql`insert into generations (number, status, space_id, model, ads, catalogue_revision, created_at)
        values (1, 'live', '', '', 0, 3, now())`,
  );
  expect(await purgeRemoved(database.db, { days: 1 })).toBe(1);
  await put('new');
  await away.news();
  expect(held).toEqual(['new', 'gone is gone']);
  await put('newer');
  await away.news();
  expect(held).toEqual(['new', 'gone is gone', 'newer']);
});

/** The other backend. */
const elsewhere = () =>
  createCatalogue({ db: database.db, space: SPACE, follow: async () => {}, onKillListChange: async () => {} });
const put = (id: string) => elsewhere().put(sampleAd({ id }));

it('takes changes over while vectors of earlier ones are waited for', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  encoding = promise;
  await put('first');
  await follower.news();
  const rest = follower.rest();
  await put('second');
  await follower.news();
  expect([held, brought]).toEqual([['first', 'second'], ['first']]);
  resolve();
  await rest;
  await follower.rest();
  expect(brought).toEqual(['first', 'second']);
});

it('takes changes over while it cannot read the configuration, which a newer release wrote', async () => {
  await database.db.execute(sql`update serving_defaults set content = jsonb_set(content, '{plan,novel}', '1')`);
  await database.db.execute(sql`update counters set value = value + 1 where name = 'config'`);
  await put('meanwhile');
  await expect(follower.news()).rejects.toThrow('novel');
  expect(held).toEqual(['meanwhile']);
});

it('takes changes over while a generation is loaded', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  loading = promise;
  await publish(7);
  await follower.news();
  const rest = follower.rest();
  await put('meanwhile');
  await follower.news();
  expect([held, followed]).toEqual([['meanwhile'], [7]]);
  resolve();
  await rest;
});

it('follows a newer generation at once though the one before could not be taken over, which is tried again later', async () => {
  loading = Promise.reject(new Error('damaged'));
  loading.catch(() => undefined);
  await publish(7);
  await follower.news();
  await expect(follower.rest()).rejects.toThrow('damaged');
  loading = Promise.resolve();
  await publish(8);
  await follower.news();
  await follower.rest();
  expect(followed).toEqual([7, 8]);
});

it('does not go back to a generation that was live when it came up while the next was being published', async () => {
  const ahead = followerWith({}, 0);
  for (const number of [7, 8, 9]) {
    await publish(number);
    await ahead.news();
    await ahead.rest();
  }
  expect(followed).toEqual([9]);
});

it('leaves the ads of a bulk load for the next generation, and follows what is done to one of them later', async () => {
  await put('before');
  await database.db.execute(
    sql`insert into ads select (record).* from (
          select jsonb_populate_record(ads, jsonb_build_object('id', 'bulk-' || n, 'revision', 2)) as record
          from ads, generate_series(0, ${MOST_IN_BATCH}) n where id = 'before') bulk`,
  );
  await database.db.execute(sql`update counters set value = 2 where name = 'catalogue'`);
  await elsewhere().patch('before', { status: 'paused' });
  await follower.news();
  expect(held).toEqual(['before']);
  await elsewhere().remove('bulk-7');
  await follower.news();
  expect(held).toEqual(['before', 'bulk-7']);
});
