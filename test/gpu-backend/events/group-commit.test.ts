/** Group commit on a real server and on the embedded database: what each request is told, and what is in the tables. */
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { rows } from '../../../gpu-backend/db/connect.ts';
import { ads, generations } from '../../../gpu-backend/db/schema.ts';
import { type GroupCommitOptions, groupCommit } from '../../../gpu-backend/events/group-commit.ts';
import { ingest } from '../../../gpu-backend/events/ingest.ts';
import type { HarnessEvent } from '../../../shared/contract/events.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { clickOnBothDays, sampleAd, sampleClick, sampleConversion, sampleImpression } from '../../setup/samples.ts';

const TABLES = ['impressions', 'exposures', 'clicks', 'conversions'];
const STRANGE = 'tab\t line\n return\r back\\slash \\N "quote" \u2028 ünï 𝒳';

describe.each(DATABASES)('on the %s database', (_name, open) => {
  const database = useDatabase(open);
  const truncate = () => database.db.execute(sql.raw(`truncate ${TABLES.join()}, ad_spend`));
  beforeEach(async () => void (await truncate()));

  const storing = (change: Partial<GroupCommitOptions> = {}) =>
    groupCommit({ db: database.db, copying: database.copying, ...change });
  const dump = async () => {
    const tables: unknown[] = [];
    for (const table of TABLES)
      tables.push(
        await rows(
          database.db,
          sql.raw(`select to_jsonb(t) - 'xact' as row from ${table} t order by (to_jsonb(t) - 'xact')::text`),
        ),
      );
    return tables;
  };

  test('rows are the same as one request at a time, byte by byte', async () => {
    const events: HarnessEvent[] = [
      sampleImpression({ query: STRANGE, reason: STRANGE, generation: null, colo: 'FRA', consent: false, qa: true }),
      sampleImpression({
        id: 'impression-2',
        slots: [{ position: 1, adId: 'ad-1', relevance: 1e-7, priceMicros: 1, retrievers: [STRANGE], team: STRANGE }],
        assignments: [{ experiment: STRANGE, layer: 'x', arm: STRANGE, unitId: 'digest', triggered: false }],
      }),
      sampleImpression({ id: 'impression-3', assignments: [], slots: [] }),
      sampleClick(),
      sampleConversion(),
    ];
    expect(await storing()(events)).toEqual({ stored: 5, duplicates: 0, rejected: [] });
    const grouped = await dump();
    await truncate();
    await ingest(events, { db: database.db });
    expect(grouped).toEqual(await dump());
  });

  test('requests with events in common, in any order and at once, are one row an id', async () => {
    const ids = Array.from({ length: 12 }, (_, i) => `impression-${i}`);
    const request = fc.array(fc.constantFrom(...ids), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 8 }), async (requests) => {
        await truncate();
        const store = storing();
        const results = await Promise.all(requests.map((list) => store(list.map((id) => sampleImpression({ id })))));
        const distinct = new Set(requests.flat()).size;
        expect(results.reduce((sum, { stored }) => sum + stored, 0)).toBe(distinct);
        expect(results.map(({ stored, duplicates }) => stored + duplicates)).toEqual(
          requests.map(({ length }) => length),
        );
        const [row] = await rows<{ n: number; exposed: number }>(
          database.db,
          sql`select count(*)::int as n, (select count(*)::int from exposures) as exposed from impressions`,
        );
        expect(row).toEqual({ n: distinct, exposed: distinct });
      }),
      { seed: 1, numRuns: 15 },
    );
  });

  test('what one request has wrong is told to it alone', async () => {
    // More than an index entry holds, and too random to be compressed: only the database can tell.
    const noise = Array.from({ length: 3_000 }, (_, i) => ((i * 7919 + ((i * i) % 613)) % 36).toString(36)).join('');
    const store = storing();
    const results = await Promise.all([
      store([sampleImpression({ id: 'first-in-line' })]),
      store([sampleImpression({ id: 'in-line-too' })]),
      store([sampleImpression(), {}, sampleImpression()]),
      store([sampleClick({ impressionId: noise }), sampleClick({ id: 'impression-1:2', position: 2 })]),
      store([sampleImpression({ id: 'impression-5', query: 'a\0b' }), sampleImpression({ id: 'impression-6' })]),
      store([sampleImpression({ id: 'impression-7', slots: [{ ...sampleImpression().slots[0]!, team: '\udc00' }] })]),
      store([sampleImpression({ id: 'impression-8' })]),
    ]);
    expect(results.map(({ stored, duplicates }) => [stored, duplicates])).toEqual([
      [1, 0],
      [1, 0],
      [1, 1],
      [1, 0],
      [1, 0],
      [0, 0],
      [1, 0],
    ]);
    expect(results.map(({ rejected }) => rejected.map(({ index }) => index))).toEqual([[], [], [1], [0], [0], [0], []]);
    expect(results[3]!.rejected[0]!.reason).toContain('the database refuses it');
  });

  test('a row that the database refuses is found in a few transactions, however many events came with it', async () => {
    const noise = Array.from({ length: 3_000 }, (_, i) => ((i * 7919 + ((i * i) % 613)) % 36).toString(36)).join('');
    const bad = 700;
    const events = Array.from({ length: 1_000 }, (_, i) =>
      sampleClick({ id: `impression-1:${i}`, ...(i === bad && { impressionId: noise }) }),
    );
    const transactions = vi.spyOn(database.db, 'transaction');
    onTestFinished(() => transactions.mockRestore());
    let refused = 0;
    const { stored, rejected } = await ingest(events, { db: database.db, onRefusedBatch: () => refused++ });
    expect([stored, rejected.map(({ index }) => index), refused]).toEqual([999, [bad], 1]);
    expect(transactions.mock.calls.length).toBeLessThanOrEqual(2 * 10 + 1);
  });

  test('what comes while transactions run forms the next ones, bounded, and those begin before anybody is answered', async () => {
    const { copying } = database;
    if (copying === undefined) return;
    const groups: number[] = [];
    const told: string[] = [];
    const gate = Promise.withResolvers<void>();
    const store = storing({
      copying: async (tables, work) => {
        groups.push(tables[0]!.text.split('\n').length - 1);
        told.push('begun');
        await gate.promise;
        return copying(tables, work);
      },
    });
    const request = (of: number, size: number) =>
      Array.from({ length: size }, (_, i) => sampleImpression({ id: `impression-${of}-${i}`, assignments: [] }));
    const sizes = [1, 1, 2, 3, 1_995, 1, 2_500, 1];
    const results = sizes.map((size, of) => store(request(of, size)));
    for (const result of results) void result.then(() => told.push('answered'));
    expect(groups).toEqual([1, 1]); // at once, and no more than two at a time
    gate.resolve();
    expect((await Promise.all(results)).map(({ stored }) => stored)).toEqual(sizes);
    expect(groups).toEqual([1, 1, 2 + 3 + 1_995, 1, 2_500, 1]);
    expect(told.slice(0, 4)).toEqual(['begun', 'begun', 'begun', 'answered']);
  });

  test('a budget that the clicks use up is told before the answer, and new impressions are counted once', async () => {
    const { db } = database;
    await db.execute(sql`truncate ads, generations`);
    await db.insert(ads).values({ ...sampleAd({ dailyBudgetMicros: 900_000 }), revision: 1 });
    const catalogueRevision = 1; // before the first generation no list is kept
    await db.insert(generations).values({
      number: 1,
      status: 'live',
      spaceId: '0',
      model: 'm',
      ads: 1,
      createdAt: new Date(),
      catalogueRevision,
    });
    const told: string[] = [];
    const store = storing({
      onKillListChange: async () => void told.push('kill list'),
      onRungs: (byRung) => told.push(...[...byRung].map(([rung, count]) => `${rung} ${count}`)),
    });
    const click = (position: number) => clickOnBothDays({ id: `impression-1:${position}`, position });
    const answered = (what: string) => () => void told.push(what);
    const first = click(1);
    await store([sampleImpression(), ...first]).then(answered('first'));
    await store([sampleImpression(), ...first, ...click(2)]).then(answered('second'));
    expect(told).toEqual(['fresh 1', 'first', 'kill list', 'second']);
  });

  test('a database that fails otherwise fails every request of the group, and nothing is half stored', async () => {
    if (database.copying === undefined) return;
    const away = new Error('the connection broke');
    const store = storing({
      copying: (tables, work) =>
        database.copying!(tables, async (tx) => {
          await work(tx);
          throw away;
        }),
    });
    const results = await Promise.allSettled([
      store([sampleImpression()]),
      store([sampleClick()]),
      store([sampleClick()]),
    ]);
    expect(results.map((result) => result.status === 'rejected' && result.reason)).toEqual([away, away, away]);
    expect((await dump()).flat()).toEqual([]);
  });
});
