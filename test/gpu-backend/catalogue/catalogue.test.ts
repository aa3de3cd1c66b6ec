/** Commits of the catalogue beyond what every database must do (test/conformance/database.ts): what of an ad is kept, and what follows in which order. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, test } from 'vitest';
import { createCatalogue } from '../../../gpu-backend/catalogue/catalogue.ts';
import { killList } from '../../../gpu-backend/catalogue/kill-list.ts';
import { type Change, changesSince, findAd } from '../../../gpu-backend/catalogue/rows.ts';
import { type Database, rows } from '../../../gpu-backend/db/connect.ts';
import { reached } from '../../../gpu-backend/db/counters.ts';
import { generations } from '../../../gpu-backend/db/schema.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleAd } from '../../setup/samples.ts';

const SPACE = { spaceId: '0123456789abcdef', dimension: 4 };
const vector = { spaceId: SPACE.spaceId, int8: Buffer.from(Int8Array.of(1, 2, 3, 4).buffer).toString('base64') };

describe.each(DATABASES)('the catalogue on the %s database', (_name, open) => {
  const database = useDatabase(open);
  let db: Database;
  let told: string[];
  beforeEach(async () => {
    ({ db } = database);
    told = [];
    await db.execute(sql.raw('truncate ads, ad_vectors, generations, counters'));
  });
  const catalogue = () =>
    createCatalogue({
      ...{ db, space: SPACE },
      follow: async (changes) => void told.push(`follow ${changes.map(({ id }) => id).sort()}`),
      onKillListChange: async () => void told.push('kill list'),
    });
  const publish = async () => {
    const catalogueRevision = await reached(db, 'catalogue');
    const [createdAt, live] = [new Date(), { number: 1, status: 'live' as const, spaceId: '0', model: 'm', ads: 2 }];
    await db.insert(generations).values({ ...live, createdAt, catalogueRevision });
  };

  test('keeps every term of an ad, and forgets those that it comes without', async () => {
    const ad = sampleAd({
      ...{ negatives: [{ text: 'free', match: 'exact' }], languages: ['en', 'de'] },
      ...{ devices: ['mobile'], policyFlags: ['alcohol'] },
    });
    await catalogue().put(ad);
    expect(await findAd(db, ad.id)).toEqual(ad);
    expect(await catalogue().patch(ad.id, { devices: ['tablet'] })).toEqual({ ...ad, devices: ['tablet'] });
    await catalogue().put(sampleAd());
    expect(await findAd(db, ad.id)).toEqual(sampleAd());
  });

  test('tells of a list on which one ad takes the place of another, once all that changed is live', async () => {
    const [a, b] = [sampleAd({ id: 'a' }), sampleAd({ id: 'b' })];
    await catalogue().putMany([a, b]);
    await publish();
    await catalogue().putMany([{ ...a, status: 'paused' }, b]);
    told = [];
    const version = await reached(db, 'config');
    await catalogue().putMany([a, { ...b, status: 'paused' }]);
    expect([await killList(db), await reached(db, 'config')]).toEqual([['b'], version + 1]);
    expect(told).toEqual(['follow a,b', 'kill list']);
  });

  test('follows what a commit changed, and nothing of the one before', async () => {
    await catalogue().put(sampleAd({ id: 'a' }));
    await catalogue().put(sampleAd({ id: 'b' }));
    await catalogue().remove('a');
    expect(told).toEqual(['follow a', 'follow b', 'follow a']);
  });

  test('refuses what no database stores, in a patch too', async () => {
    await catalogue().put(sampleAd());
    for (const title of ['a\0b', 'half a \ud83d pair'])
      await expect(catalogue().patch('ad-1', { title })).rejects.toMatchObject({ code: 'bad_request' });
    expect(await reached(db, 'catalogue')).toBe(1);
  });

  test('refuses to patch what another release booked and this one would not, and says what is wrong', async () => {
    await catalogue().put(sampleAd());
    await db.execute(sql`update ads set bid_micros = 1000000000000`);
    await expect(catalogue().patch('ad-1', { status: 'paused' })).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('ad.bidMicros'),
    });
  });

  test('removes the vector with the ad, and knows it in its own space alone', async () => {
    await catalogue().put({ ...sampleAd(), vector });
    const [elsewhere] = await changesSince(db, 0, 'f'.repeat(16));
    expect(elsewhere).toMatchObject({ id: 'ad-1', stored: undefined });
    await catalogue().remove('ad-1');
    expect(await rows(db, sql`select ad_id from ad_vectors`)).toEqual([]);
  });

  test('takes the first of an id that comes twice in a batch, and refuses the other by its index', async () => {
    const [first, again] = [sampleAd({ id: 'a', bidMicros: 1 }), sampleAd({ id: 'a', bidMicros: 2 })];
    expect(await catalogue().putMany([first, sampleAd({ id: 'b' }), again, { id: 7 }])).toEqual({
      accepted: 2,
      rejected: [
        { index: 2, id: 'a', reason: 'ad.id: expected each id once, it came before in this batch' },
        { index: 3, reason: expect.stringContaining('ad.id') },
      ],
    });
    expect(await findAd(db, 'a')).toEqual(first);
  });

  test('lets others run while it reads a batch', async () => {
    let turns = 0;
    const count = () => void (++turns < 1_000 && setImmediate(count));
    setImmediate(count);
    let before = 0;
    db = new Proxy(db, {
      get(target, name) {
        if (name === 'transaction') before = turns;
        return Reflect.get(target, name);
      },
    });
    await catalogue().putMany(Array.from({ length: 500 }, (_, i) => sampleAd({ id: `ad-${i}` })));
    expect(before).toBeGreaterThan(4);
  });

  test('reads removals for those who follow, and leaves them out for those who read the whole', async () => {
    await catalogue().putMany([sampleAd({ id: 'a' }), sampleAd({ id: 'b' }), sampleAd({ id: 'c' })]);
    await catalogue().remove('b');
    const read = async (options: Parameters<typeof changesSince>[3]) =>
      (await changesSince(db, 0, SPACE.spaceId, options)).map(({ id, ad }) => [id, ad !== undefined]);
    expect(await read({ alive: true })).toEqual([
      ['a', true],
      ['c', true],
    ]);
    expect(await read({ without: [1] })).toEqual([['b', false]]);
  });

  test('reads changes however many there are, each once, in the order of the commits', async () => {
    const many = Array.from({ length: 4_100 }, (_, i) => sampleAd({ id: `ad-${i}` }));
    await catalogue().putMany(many);
    await catalogue().patch('ad-7', { bidMicros: 5 });
    const changes: Change[] = await changesSince(db, 0, SPACE.spaceId);
    expect(new Set(changes.map(({ id }) => id)).size).toBe(4_100);
    expect(changes).toHaveLength(4_100);
    expect(changes.map(({ revision }) => revision)).toEqual([...Array(4_099).fill(1), 2]);
    expect(changes.at(-1)).toMatchObject({ id: 'ad-7', ad: { bidMicros: 5 } });
  });
});
