/** Bulk loads on both databases: all or nothing, what is bad by line, and going on after a stop at any chunk. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, test } from 'vitest';
import { type BadRow, type BulkLoadOptions, type BulkRow, bulkLoad } from '../../../gpu-backend/catalogue/bulk-load.ts';
import { killList } from '../../../gpu-backend/catalogue/kill-list.ts';
import { changesSince, findAd } from '../../../gpu-backend/catalogue/rows.ts';
import { type Database, rows } from '../../../gpu-backend/db/connect.ts';
import { reached } from '../../../gpu-backend/db/counters.ts';
import { generations } from '../../../gpu-backend/db/schema.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleAd } from '../../setup/samples.ts';

const SPACE = { spaceId: '0123456789abcdef', dimension: 4 };
const good = (n: number) =>
  sampleAd({ id: `ad-${n}`, title: `Ad\t${n} \\N`, negatives: [{ text: 'a\\b', match: 'exact' }] });

describe.each(DATABASES)('a bulk load into the %s database', (_name, open) => {
  const database = useDatabase(open);
  let db: Database;
  let report: BadRow[];
  beforeEach(async () => {
    ({ db } = database);
    report = [];
    await db.execute(sql.raw('truncate ads, ad_vectors, bulk_loads, staged_ads, generations, counters'));
  });

  const load = (
    given: readonly unknown[],
    change: {
      digest?: string;
      space?: typeof SPACE;
      maxBadShare?: number;
      onProgress?: (done: number) => void;
      report?: BulkLoadOptions['report'];
      before?: (line: number) => Promise<void>;
    } = {},
  ) => {
    const { digest = 'one', before = async () => {}, ...more } = change;
    return bulkLoad({
      connection: database,
      space: SPACE,
      file: { name: 'ads.jsonl', digest },
      async *read(): AsyncGenerator<BulkRow> {
        for (const [i, value] of given.entries()) {
          await before(i + 1);
          yield typeof value === 'string' ? { line: i + 1, fault: value } : { line: i + 1, value };
        }
      },
      report: {
        cutTo: async (entries) => void report.splice(entries),
        append: async (bad) => report.push(...bad),
      },
      maxBadShare: 0.5,
      chunk: 3,
      ...more,
    });
  };
  const staged = async () => (await rows(db, sql`select line from staged_ads`)).length;

  test('brings all ads in as one commit, with vectors, and reports what is bad by line', async () => {
    const vector = { spaceId: SPACE.spaceId, int8: Buffer.from([1, 2, 255, 0]).toString('base64') };
    const file = [
      good(1),
      { ...good(2), vector },
      'not JSON',
      { ...good(4), bidMicros: -1 },
      good(1),
      { ...good(6), vector: { ...vector, spaceId: 'fedcba9876543210' } },
      good(7),
    ];
    const result = await load(file, { maxBadShare: 0.6 });
    expect(result).toEqual({ loaded: 3, rejected: 4, resumedAfter: 0 });
    expect(report.map(({ line }) => line)).toEqual([3, 4, 6, 5]);
    expect(report[0]!.reason).toBe('not JSON');
    expect(report[1]!.reason).toContain('ad.bidMicros');
    expect(report[2]!.reason).toContain('fedcba9876543210');
    expect(report[3]!.reason).toBe('ad.id: expected each id once, ad-1 came before on line 1');
    const changes = await changesSince(db, 0, SPACE.spaceId);
    expect(changes.map(({ id, revision }) => [id, revision])).toEqual([
      ['ad-1', 1],
      ['ad-2', 1],
      ['ad-7', 1],
    ]);
    expect(changes[0]!.ad).toEqual(good(1));
    expect(changes[1]!.stored!.vector).toEqual(Int8Array.of(1, 2, -1, 0));
    expect(await staged()).toBe(0);
  });

  test('begins anew where the space is another than at the stop: its vectors never pass for those of this one', async () => {
    const vector = { spaceId: SPACE.spaceId, int8: Buffer.from([1, 2, 3, 4]).toString('base64') };
    const file = [1, 2, 3, 4].map((n) => ({ ...good(n), vector }));
    const stop = async (line: number) => {
      if (line === 4) throw new Error('killed');
    };
    await expect(load(file, { before: stop })).rejects.toThrow('killed');
    expect(await staged()).toBe(3);
    const space = { spaceId: 'fedcba9876543210', dimension: 4 };
    expect(await load(file, { space, maxBadShare: 1 })).toEqual({ loaded: 0, rejected: 4, resumedAfter: 0 });
    expect([await rows(db, sql`select * from ad_vectors`), await staged()]).toEqual([[], 0]);
  });

  test('replaces what is there, takes removed ads back, and leaves the others alone', async () => {
    await load([good(1), good(2), good(3)]);
    await db.execute(sql`update ads set deleted_at = now() where id = 'ad-2'`);
    expect((await load([sampleAd({ id: 'ad-1' }), good(2)], { digest: 'two' })).loaded).toBe(2);
    expect(await findAd(db, 'ad-1')).toEqual(sampleAd({ id: 'ad-1' }));
    expect(await findAd(db, 'ad-2')).toEqual(good(2));
    expect((await changesSince(db, 0, SPACE.spaceId)).map(({ id, revision }) => [id, revision])).toEqual([
      ['ad-3', 1],
      ['ad-1', 2],
      ['ad-2', 2],
    ]);
  });

  test('leaves what is as it was to its own commit: of a whole catalogue loaded again only what changed is new', async () => {
    const vector = (fill: number) => ({ spaceId: SPACE.spaceId, int8: Buffer.alloc(4, fill).toString('base64') });
    await load([good(1), good(2), { ...good(3), vector: vector(1) }, { ...good(4), vector: vector(1) }, good(5)]);
    await db.execute(sql`update ads set deleted_at = now() where id = 'ad-5'`);
    const again = [
      good(1),
      { ...good(2), bidMicros: 7 },
      { ...good(3), vector: vector(1) },
      { ...good(4), vector: vector(2) },
      good(5),
    ];
    expect(await load(again, { digest: 'two' })).toEqual({ loaded: 5, rejected: 0, resumedAfter: 0 });
    const changes = await changesSince(db, 0, SPACE.spaceId);
    expect(changes.map(({ id, revision, ad }) => [id, revision, ad?.bidMicros])).toEqual([
      ['ad-1', 1, good(1).bidMicros],
      ['ad-3', 1, good(3).bidMicros],
      ['ad-2', 2, 7],
      ['ad-4', 2, good(4).bidMicros],
      ['ad-5', 2, good(5).bidMicros],
    ]);
    expect(changes[3]!.stored!.vector).toEqual(new Int8Array(4).fill(2));
  });

  test('takes what it pauses out of cached answers at once, and tells of it, as of nothing else', async () => {
    await load([good(1), good(2)]);
    const generation = { number: 1, status: 'live' as const, spaceId: SPACE.spaceId, model: 'm', ads: 2 };
    await db.insert(generations).values({ ...generation, catalogueRevision: 1, createdAt: new Date() });
    const told = async (digest: string, file: readonly unknown[]) => {
      await load(file, { digest });
      return [await killList(db), await reached(db, 'config')];
    };
    expect(await told('two', [good(1), { ...good(2), bidMicros: 7 }, good(3)])).toEqual([[], 0]);
    expect(await told('three', [good(1), { ...good(2), status: 'paused' }, good(3)])).toEqual([['ad-2'], 1]);
    expect(await told('four', [good(1), good(2), { ...good(3), dailyBudgetMicros: 0 }])).toEqual([['ad-3'], 2]);
  });

  test('loads nothing when too much is bad', async () => {
    const bad = load([good(1), 'x', 'y'], { maxBadShare: 0.5 });
    await expect(bad).rejects.toMatchObject({
      code: 'bad_request',
      message: 'ads.jsonl: expected at most 50 % bad rows, got 2 of 3; nothing was loaded.',
    });
    expect([await changesSince(db, 0, SPACE.spaceId), await staged(), await reached(db, 'catalogue')]).toEqual([
      [],
      0,
      0,
    ]);
  });

  test('goes on where it was stopped, at any chunk, and shows nothing before its end', async () => {
    const file = Array.from({ length: 10 }, (_, i) => (i % 4 === 3 ? `bad ${i + 1}` : good(i)));
    for (const stopAt of [3, 6, 9, 10]) {
      await db.execute(sql.raw('truncate ads, bulk_loads, staged_ads'));
      report = [];
      const stopped = load(file, {
        onProgress(done) {
          if (done === stopAt) throw new Error('killed');
        },
      });
      await expect(stopped).rejects.toThrow('killed');
      report.push({ line: 0, reason: 'written after the last commit' });
      expect(await changesSince(db, 0, SPACE.spaceId)).toEqual([]);
      expect(await load(file)).toEqual({ loaded: 8, rejected: 2, resumedAfter: stopAt });
      expect(report.map(({ line }) => line)).toEqual([4, 8]);
      expect(await staged()).toBe(0);
    }
  });

  test('forgets what an earlier content of the file had staged, and gives way to who else loads it', async () => {
    const stop = () => {
      throw new Error('killed');
    };
    await expect(load([good(1)], { onProgress: stop })).rejects.toThrow('killed');
    expect(await load([good(2)], { digest: 'two' })).toEqual({ loaded: 1, rejected: 0, resumedAfter: 0 });
    expect(await staged()).toBe(0);
    // Whoever moved it first goes on; the other ends and has doubled nothing.
    const first = load([1, 2, 3, 4, 5].map(good), {
      digest: 'three',
      async before(line) {
        if (line === 4) await db.execute(sql`update bulk_loads set position = 4`);
      },
    });
    await expect(first).rejects.toMatchObject({ code: 'conflict' });
    expect(await staged()).toBe(3);
  });

  test('says so when another took its rows away before the last step, and changes nothing then', async () => {
    const append = async (bad: readonly BadRow[]) => {
      // A row that comes twice is told between staging and the last step.
      if (bad[0]!.reason.includes('came before')) await load([good(2)], { digest: 'two' });
      return report.push(...bad);
    };
    const first = load([good(1), good(1)], { report: { cutTo: async () => {}, append } });
    await expect(first).rejects.toMatchObject({ code: 'conflict' });
    expect((await changesSince(db, 0, SPACE.spaceId)).map(({ id }) => id)).toEqual(['ad-2']);
    expect([await staged(), await reached(db, 'catalogue')]).toEqual([0, 1]);
  });
});
