/**
 * What the backend asks of its database, run on the embedded one and on a real server: the catalogue, the events, the
 * configuration's version. The service's own code writes and reads; only counts are looked up by hand.
 */
import { readFileSync } from 'node:fs';
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { createCatalogue } from '../../gpu-backend/catalogue/catalogue.ts';
import { type Change, changesSince, findAd } from '../../gpu-backend/catalogue/rows.ts';
import { type Database, rows } from '../../gpu-backend/db/connect.ts';
import { raise, reached } from '../../gpu-backend/db/counters.ts';
import { generations } from '../../gpu-backend/db/schema.ts';
import { ingest } from '../../gpu-backend/events/ingest.ts';
import { missingIds } from '../../gpu-backend/events/reconcile.ts';
import { putExperiment } from '../../gpu-backend/serving-config/experiment-store.ts';
import { openServingConfig } from '../../gpu-backend/serving-config/serving-config.ts';
import { adTextDigest } from '../../shared/ad-text.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import type { TestDatabase } from '../setup/databases.ts';
import { useDatabase } from '../setup/hooks.ts';
import {
  AT_MS,
  sampleAd,
  sampleClick,
  sampleConversion,
  sampleExperiment,
  sampleImpression,
} from '../setup/samples.ts';

const bucketing = JSON.parse(readFileSync(new URL('../golden/bucketing.json', import.meta.url), 'utf8')) as {
  hashes: [text: string, utf8: string, hash: number][];
  buckets: [salt: string, unit: string, bucket: number][];
  arms: { key: string; version: number; arms: [string, number][]; units: [string, string][] }[];
};
const ME = { by: 'me', keyId: 'test', why: 'a test' };
const SPACE = { spaceId: '0123456789abcdef', dimension: 4 };
const TABLES =
  'ads, ad_vectors, generations, experiments, impressions, exposures, clicks, conversions, experiment_units, experiment_unit_days, experiment_arm_days, judgements, counters';

async function count(db: Database, table: string): Promise<number> {
  const [row] = await rows<{ n: number }>(db, sql.raw(`select count(*)::int as n from ${table}`));
  return row!.n;
}

export function databaseConformance(name: string, open: () => Promise<TestDatabase>): void {
  describe(`the ${name} database`, () => {
    const database = useDatabase(open);
    let db: Database;
    beforeEach(async () => {
      ({ db } = database);
      await db.execute(sql.raw(`truncate ${TABLES}`));
    });

    describe('counters', () => {
      test('start at 0, grow by one, and take part in the transaction', async () => {
        expect(await reached(db, 'config')).toBe(0);
        expect(await raise(db, 'config')).toBe(1);
        await expect(
          db.transaction(async (tx) => {
            expect(await raise(tx, 'config')).toBe(2);
            throw new Error('undo');
          }),
        ).rejects.toThrow('undo');
        expect(await raise(db, 'config')).toBe(2);
      });

      test('give each of many writers a number of its own', async () => {
        const values = await Promise.all(Array.from({ length: 20 }, () => raise(db, 'catalogue')));
        expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
      });
    });

    describe('the catalogue', () => {
      let followed: Change[];
      let killListChanges: number;
      const catalogue = () =>
        createCatalogue({
          db,
          space: SPACE,
          follow: async (changes) => void followed.push(...changes),
          onKillListChange: async () => void killListChanges++,
        });
      const vector = (values: number[], spaceId = SPACE.spaceId) => ({
        spaceId,
        int8: Buffer.from(Int8Array.from(values).buffer).toString('base64'),
      });
      beforeEach(() => {
        followed = [];
        killListChanges = 0;
      });

      test('gives back what was put, and follows each commit', async () => {
        const ad = sampleAd({ title: 'Ärmel “½” 运动鞋 👟', keywords: [], bidMicros: 1_000_000_000 });
        expect(await catalogue().put({ ...ad, vector: vector([1, -128, 127, 0]) })).toEqual(ad);
        expect(await findAd(db, ad.id)).toEqual(ad);
        const stored = { vector: Int8Array.of(1, -128, 127, 0), textDigest: await adTextDigest(ad) };
        expect(followed).toEqual([{ id: ad.id, revision: 1, ad, stored }]);
        await catalogue().put(sampleAd());
        expect(await findAd(db, ad.id)).toEqual(sampleAd());
        expect(await changesSince(db, 1, SPACE.spaceId)).toEqual([
          { id: ad.id, revision: 2, ad: sampleAd(), stored }, // its text digest tells that the vector is of another text
        ]);
      });

      test('patches the fields given, and only of ads that are there', async () => {
        await catalogue().put(sampleAd());
        expect(await catalogue().patch('ad-1', { status: 'paused' })).toEqual(sampleAd({ status: 'paused' }));
        expect(followed.at(-1)).toMatchObject({ revision: 2, ad: { status: 'paused' } });
        await expect(catalogue().patch('ad-2', { status: 'paused' })).rejects.toMatchObject({ code: 'not_found' });
        expect(await reached(db, 'catalogue')).toBe(2);
      });

      test('removes, remembers the removal, and takes the ad back', async () => {
        await catalogue().put({ ...sampleAd(), vector: vector([1, 2, 3, 4]) });
        await catalogue().remove('ad-1');
        expect(await findAd(db, 'ad-1')).toBeUndefined();
        await expect(catalogue().remove('ad-1')).rejects.toMatchObject({ code: 'not_found' });
        await expect(catalogue().patch('ad-1', {})).rejects.toMatchObject({ code: 'not_found' });
        const gone = { id: 'ad-1', revision: 2, ad: undefined, stored: undefined };
        expect(await changesSince(db, 0, SPACE.spaceId)).toEqual([gone]);
        await catalogue().put(sampleAd());
        expect(await findAd(db, 'ad-1')).toEqual(sampleAd());
      });

      test('refuses the bad ads of a batch by index and stores the others in one commit', async () => {
        const result = await catalogue().putMany([
          sampleAd({ id: 'a' }),
          { ...sampleAd({ id: 'b' }), bidMicros: -1 },
          null,
          { ...sampleAd({ id: 'd' }), vector: vector([1, 2, 3, 4], 'fedcba9876543210') },
          { ...sampleAd({ id: 'e' }), vector: vector([1, 2, 3]) },
          sampleAd({ id: 'a', title: 'Again' }),
          sampleAd({ id: 'g', description: 'half a \ud83d pair' }),
          sampleAd({ id: 'h' }),
        ]);
        expect(result.accepted).toBe(2);
        expect(result.rejected.map(({ index, id }) => [index, id])).toEqual([
          [1, 'b'],
          [2, undefined],
          [3, 'd'],
          [4, 'e'],
          [5, 'a'],
          [6, 'g'],
        ]);
        expect(result.rejected[2]!.reason).toMatch(/fedcba9876543210.*0123456789abcdef/);
        expect(result.rejected[3]!.reason).toContain('expected 4 bytes in base64, got 3');
        expect((await changesSince(db, 0, SPACE.spaceId)).map(({ id, revision }) => [id, revision])).toEqual([
          ['a', 1],
          ['h', 1],
        ]);
      });

      test('stores a batch of thousands', async () => {
        const many = Array.from({ length: 5_000 }, (_, i) => ({
          ...sampleAd({ id: `ad-${i}` }),
          vector: vector([i % 128, 1, 2, 3]),
        }));
        expect(await catalogue().putMany(many)).toEqual({ accepted: 5_000, rejected: [] });
        expect(await count(db, 'ad_vectors')).toBe(5_000);
        expect(await catalogue().putMany(many)).toEqual({ accepted: 5_000, rejected: [] });
        expect(await count(db, 'ads')).toBe(5_000);
      });

      test('kills what went inactive since the generation before the live one was built, and nothing else', async () => {
        const config = await openServingConfig(db, DEFAULT_CONFIG);
        const killed = async () => (await config.refresh()).killList;
        await catalogue().putMany(['a', 'b', 'c', 'd'].map((id) => sampleAd({ id })));
        await catalogue().patch('a', { status: 'paused' });
        expect([await killed(), killListChanges]).toEqual([[], 0]); // no generation, nothing cached
        await publish(db, { number: 1, catalogueRevision: await reached(db, 'catalogue') });
        expect(await killed()).toEqual([]); // a was paused before the snapshot
        expect(config.current()).toMatchObject({ generation: 1, killListSince: 1 });
        const { version } = config.current();
        await catalogue().patch('b', { status: 'paused' });
        await catalogue().remove('c');
        expect([await killed(), killListChanges]).toEqual([['b', 'c'], 2]);
        expect(config.current().version).toBe(version + 2);
        await catalogue().patch('d', { bidMicros: 5 });
        expect([await killed(), killListChanges]).toEqual([['b', 'c'], 2]);
        await catalogue().patch('b', { status: 'active' });
        expect([await killed(), killListChanges]).toEqual([['c'], 3]);
        await publish(db, { number: 3, catalogueRevision: await reached(db, 'catalogue') });
        await catalogue().patch('d', { status: 'paused' });
        expect(await killed()).toEqual(['c', 'd']); // who has not taken over the new one may answer by the old
        expect(config.current()).toMatchObject({ generation: 3, killListSince: 1 });
        await publish(db, { number: 4, catalogueRevision: await reached(db, 'catalogue') });
        expect(await killed()).toEqual(['d']);
        expect(config.current()).toMatchObject({ generation: 4, killListSince: 3 });
      });
    });

    describe('events', () => {
      test('are stored once, whatever the order and the number of deliveries', async () => {
        const events: HarnessEvent[] = [1, 2, 3].flatMap((n) => [
          sampleImpression({ id: `impression-${n}` }),
          sampleClick({ id: `impression-${n}:1`, impressionId: `impression-${n}` }),
          sampleConversion({ id: `order-000${n}`, clickId: `impression-${n}:1` }),
        ]);
        const deliveries = fc.array(fc.shuffledSubarray(events, { minLength: 1 }), { minLength: 1, maxLength: 4 });
        await fc.assert(
          fc.asyncProperty(deliveries, async (batches) => {
            await db.execute(sql.raw(`truncate ${TABLES}`));
            let stored = 0;
            for (const batch of batches) {
              const result = await ingest(batch, { db });
              expect(result.stored + result.duplicates).toBe(batch.length);
              stored += result.stored;
            }
            const sent = new Set(batches.flat());
            expect(stored).toBe(sent.size);
            const kept = (type: string) => [...sent].filter((event) => event.type === type).length;
            expect(await count(db, 'impressions')).toBe(kept('impression'));
            expect(await count(db, 'exposures')).toBe(kept('impression'));
            expect(await count(db, 'clicks')).toBe(kept('click'));
            expect(await count(db, 'conversions')).toBe(kept('conversion'));
          }),
          { numRuns: 15, seed: 7 },
        );
      });

      test('tell which rungs answered, once an impression', async () => {
        const told: [string, number][][] = [];
        const onRungs = (impressions: ReadonlyMap<string, number>) => told.push([...impressions].sort());
        const events = ['fresh', 'fresh', 'head'].map((rung, i) =>
          sampleImpression({ id: `impression-of-a-rung-${i}`, rung: rung as 'fresh' }),
        );
        expect((await ingest([...events, sampleClick()], { db, onRungs })).stored).toBe(4);
        expect((await ingest(events, { db, onRungs })).duplicates).toBe(3);
        expect(told).toEqual([
          [
            ['fresh', 2],
            ['head', 1],
          ],
          [],
        ]);
      });

      test('keep every field', async () => {
        const sent = sampleImpression({ reason: 'backend_unavailable', generation: null, model: null, rung: 'stale' });
        await ingest([sent, sampleClick(), sampleConversion()], { db });
        const [impression] = await rows<Record<string, unknown>>(
          db,
          sql`select *, extract(epoch from at)::float8 * 1000 as at_ms, config_version::int as config_version from impressions`,
        );
        expect(impression).toMatchObject({
          id: sent.id,
          at_ms: AT_MS,
          unit_id: 'unit-1',
          bot: false,
          market: 'us',
          locale: 'en-US',
          query: 'running shoes',
          config_version: 1,
          plan_fingerprint: '0'.repeat(32),
          generation: null,
          model: null,
          cache_status: 'miss',
          cache_age_ms: 0,
          rung: 'stale',
          reason: 'backend_unavailable',
          slot_count: 1,
          total_ms: 7.5,
          backend_ms: 6.25,
          encode_ms: 2,
          search_ms: 1.5,
          slots: sent.slots,
        });
        expect(await rows(db, sql`select impression_id, experiment, layer, arm, unit_id from exposures`)).toEqual([
          {
            impression_id: sent.id,
            experiment: 'student-retrieval',
            layer: 'retrieval',
            arm: 'treatment',
            unit_id: 'unit-1',
          },
        ]);
        expect(
          await rows(db, sql`select id, impression_id, ad_id, charge_micros::int as charge, bot from clicks`),
        ).toEqual([
          { id: 'impression-1:1', impression_id: 'impression-1', ad_id: 'ad-1', charge: 500_000, bot: false },
        ]);
        expect(await rows(db, sql`select id, click_id, value_micros::int as value from conversions`)).toEqual([
          { id: 'order-0001', click_id: 'impression-1:1', value: 30_000_000 },
        ]);
      });

      test('of one id count once though their content differs, exposures included', async () => {
        const other = { experiment: 'other', layer: 'other', arm: 'x' };
        const first = sampleImpression();
        const second = sampleImpression({ assignments: [...first.assignments, other] });
        expect(await ingest([first, second], { db })).toEqual({ stored: 1, duplicates: 1, rejected: [] });
        expect(await ingest([second], { db })).toEqual({ stored: 0, duplicates: 1, rejected: [] });
        expect(await count(db, 'exposures')).toBe(1);
      });

      test('that were issued and are no rows are named, in the order asked', async () => {
        await ingest([sampleImpression(), sampleClick(), sampleConversion()], { db });
        const issued = ['order-0001', 'lost-2', 'impression-1', 'impression-1:1', 'impression-1:2', 'lost-1', '"\\'];
        expect(await missingIds(db, issued)).toEqual(['lost-2', 'impression-1:2', 'lost-1', '"\\']);
        expect(await missingIds(db, ['impression-1'])).toEqual([]);
      });

      test('of an override are kept and marked, and are no exposures; a query diverted is its own unit', async () => {
        const byQuery = { experiment: 'by-query', layer: 'queries', arm: 'control', unitId: 'digest-of-query' };
        await ingest(
          [
            sampleImpression({ id: 'impression-1', qa: true, device: 'mobile', consent: false }),
            sampleImpression({ id: 'impression-2', assignments: [...sampleImpression().assignments, byQuery] }),
          ],
          { db },
        );
        expect(await rows(db, sql`select id, qa, device, consent from impressions order by id`)).toEqual([
          { id: 'impression-1', qa: true, device: 'mobile', consent: false },
          { id: 'impression-2', qa: false, device: null, consent: null },
        ]);
        expect(
          await rows(db, sql`select impression_id, experiment, unit_id from exposures order by experiment`),
        ).toEqual([
          { impression_id: 'impression-2', experiment: 'by-query', unit_id: 'digest-of-query' },
          { impression_id: 'impression-2', experiment: 'student-retrieval', unit_id: 'unit-1' },
        ]);
      });

      test('that are malformed are refused by index and hold up none of the others', async () => {
        let refusedBatches = 0;
        const tooLong = 'x'.repeat(3_000); // more than an index entry holds, and random enough not to be compressed
        const noise = Array.from({ length: 3_000 }, (_, i) => ((i * 7919 + ((i * i) % 613)) % 36).toString(36)).join(
          '',
        );
        const result = await ingest(
          [
            sampleImpression(),
            sampleClick({ id: 'impression-9:1', impressionId: noise }),
            {},
            null,
            'impression',
            sampleClick({ position: 0 }),
            sampleImpression({ id: 'impression-2', atMs: 9e15 }),
            sampleImpression({ id: 'impression-3', query: 'a\0b' }),
            sampleImpression({ id: 'impression-4', unitId: '\udc00' }),
            { ...sampleConversion(), extra: tooLong },
            sampleClick(),
          ],
          { db, onRefusedBatch: () => refusedBatches++ },
        );
        expect(result.stored).toBe(2);
        expect(result.duplicates).toBe(0);
        expect(result.rejected.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        expect(result.rejected[0]!.reason).toContain('the database refuses it');
        expect(refusedBatches).toBe(1);
        expect(await count(db, 'impressions')).toBe(1);
        expect(await count(db, 'clicks')).toBe(1);
      });
    });

    describe('the bucketing hash', () => {
      test('gives the vectors of the other languages', async () => {
        const found = await rows<{ hash: string }>(
          db,
          sql`select harness_hash32(value->>0)::text as hash from jsonb_array_elements(${JSON.stringify(bucketing.hashes)}::text::jsonb)`,
        );
        expect(found.map(({ hash }) => Number(hash))).toEqual(bucketing.hashes.map(([, , hash]) => hash));
        const buckets = await rows<{ at: number }>(
          db,
          sql`select harness_bucket(value->>0, value->>1) as at from jsonb_array_elements(${JSON.stringify(bucketing.buckets)}::text::jsonb)`,
        );
        expect(buckets.map(({ at }) => at)).toEqual(bucketing.buckets.map(([, , at]) => at));
      });

      test('deals the arms of stored experiments as the edge does', async () => {
        for (const { key, version, arms, units } of bucketing.arms) {
          const definition = sampleExperiment({
            key,
            layer: key,
            version,
            control: arms[0]![0],
            arms: arms.map(([arm, weight]) => ({ key: arm, weight, parameters: {} })),
          });
          await putExperiment(db, definition, ME);
          const found = await rows<{ arm: string }>(
            db,
            sql`select harness_arm(definition, unit) as arm from experiments,
                jsonb_array_elements_text(${JSON.stringify(units.map(([unit]) => unit))}::text::jsonb) with ordinality as u(unit, n)
                where key = ${key} order by n`,
          );
          expect(found.map(({ arm }) => arm)).toEqual(units.map(([, arm]) => arm));
        }
      });
    });

    describe('the serving configuration', () => {
      test('starts with what ships, once, and its version only grows', async () => {
        const first = await openServingConfig(db, DEFAULT_CONFIG);
        expect(first.current()).toEqual({ ...DEFAULT_CONFIG, version: 1 });
        const stopped = { ...DEFAULT_CONFIG.experiments[0]!, status: 'stopped' as const };
        await putExperiment(db, stopped, ME);
        expect(await first.refresh()).toMatchObject({ version: 2, experiments: [stopped] });
        const again = await openServingConfig(db, DEFAULT_CONFIG);
        expect(again.current()).toMatchObject({ version: 2, experiments: [stopped] });
      });

      test('names the live generation, also in the headers', async () => {
        const config = await openServingConfig(db, DEFAULT_CONFIG);
        expect(config.news()).toEqual({ 'harness-config-version': '1' });
        await publish(db, { number: 7, catalogueRevision: 0 });
        await config.refresh();
        expect(config.current().generation).toBe(7);
        expect(config.news()).toEqual({ 'harness-config-version': '2', 'harness-generation': '7' });
      });

      test('refuses running experiments that overlap, and lets one of two writers win', async () => {
        const config = await openServingConfig(db, DEFAULT_CONFIG);
        await putExperiment(db, sampleExperiment(), ME);
        const clash = sampleExperiment({ key: 'other', buckets: [4_999, 10_000] });
        await expect(putExperiment(db, clash, ME)).rejects.toMatchObject({ code: 'conflict' });
        expect((await config.refresh()).version).toBe(2);
        await putExperiment(db, { ...clash, status: 'draft' }, ME);
        await putExperiment(db, { ...clash, buckets: [5_000, 10_000] }, ME);
        const outcomes = await Promise.allSettled([
          putExperiment(db, sampleExperiment({ key: 'left', layer: 'contested' }), ME),
          putExperiment(db, sampleExperiment({ key: 'right', layer: 'contested' }), ME),
        ]);
        expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      });
    });
  });
}

/** Marks a generation live, as a publication does. */
async function publish(db: Database, change: { number: number; catalogueRevision: number }): Promise<void> {
  await db.transaction(async (tx) => {
    await raise(tx, 'config');
    await tx.update(generations).set({ status: 'retired' });
    await tx.insert(generations).values({
      ...change,
      status: 'live',
      spaceId: SPACE.spaceId,
      model: 'default',
      ads: 0,
      createdAt: new Date(AT_MS),
      publishedAt: new Date(AT_MS),
    });
  });
}
