import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { scan } from '../../../gpu-backend/index/exact.ts';
import { type MilvusFallback, type MilvusOptions, openMilvus } from '../../../gpu-backend/index/milvus.ts';
import { float32Rows, type VectorRows } from '../../../gpu-backend/index/vector-rows.ts';
import { annIndexConformance } from '../../conformance/ann-index.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';
import { startMilvus } from '../../setup/milvus-server.ts';

const PATIENT_MS = 60_000;
const server = await startMilvus();
const everyRow = (rows: VectorRows) => Uint32Array.from({ length: rows.count }, (_, row) => row);

if ('missing' in server) {
  console.info(`Milvus is not tested: ${server.missing}`);
  describe.skip(`Milvus (${server.missing})`, () => it('is tested elsewhere', () => {}));
} else {
  const { address } = server;
  const own = `harness_test_${process.pid}`;
  const made: string[] = [];
  const closers: (() => Promise<void>)[] = [];
  const fallbacks: MilvusFallback[] = [];
  const open = async (change: Partial<MilvusOptions> = {}) => {
    const onFallback = (fallback: MilvusFallback) => void fallbacks.push(fallback);
    const milvus = await openMilvus({ address, deadlineMs: PATIENT_MS, onFallback, ...change });
    closers.push(() => milvus.close());
    return milvus;
  };
  const milvus = await open();
  const collect = async (rows: VectorRows, members = everyRow(rows)) => {
    const collection = `${own}_${made.length}`;
    made.push(collection);
    const steps: number[] = [];
    for await (const done of milvus.build(collection, rows, members)) steps.push(done);
    return { collection, steps };
  };
  const build = async (rows: VectorRows, members = everyRow(rows)) =>
    milvus.open((await collect(rows, members)).collection, rows, { members });

  afterAll(async () => {
    for (const collection of made) await milvus.discard(collection);
    for (const close of closers) await close();
    await server.stop();
  });

  annIndexConformance({ name: 'Milvus', build, minRecall: 0.98 });

  describe('a collection', () => {
    const { rows: matrix, queries } = clusteredVectors({
      count: 2500,
      dimension: 32,
      clusters: 60,
      queries: 8,
      seed: 9,
    });
    const rows = float32Rows(matrix, 32);

    it('is loaded when all of it is indexed, and refused when that fails', async () => {
      const states: string[] = [];
      const order: string[] = [];
      const { describeIndex, loadCollection } = MilvusClient.prototype;
      const described = vi.spyOn(MilvusClient.prototype, 'describeIndex').mockImplementation(async function (
        this: MilvusClient,
        asked,
      ) {
        const found = await describeIndex.call(this, asked);
        const index_descriptions = found.index_descriptions.map((index) => ({
          ...index,
          state: states.shift() ?? index.state,
        }));
        order.push(...index_descriptions.map(({ state }) => state));
        return { ...found, index_descriptions };
      });
      const loaded = vi.spyOn(MilvusClient.prototype, 'loadCollection').mockImplementation(function (
        this: MilvusClient,
        asked,
      ) {
        order.push('loaded');
        return loadCollection.call(this, asked);
      });
      try {
        const other = await open();
        const built = async () => {
          const collection = `${own}_${made.length}`;
          made.push(collection);
          for await (const _ of other.build(collection, rows, everyRow(rows)));
        };
        states.push('InProgress', 'InProgress');
        await built();
        expect(order).toEqual(['InProgress', 'InProgress', 'Finished', 'loaded']);
        states.push('Failed');
        await expect(built()).rejects.toThrow(/Milvus could not index/);
        expect(order.slice(4)).toEqual(['Failed']);
      } finally {
        described.mockRestore();
        loaded.mockRestore();
      }
    });

    it('answers its searches itself, asking again for more where a filter takes most away', async () => {
      const { collection, steps } = await collect(rows);
      expect(steps).toEqual([1000, 2000, 2500]);
      // Nothing may be scanned here: what is found was found there.
      const index = await (await open({ scanRows: 0 })).open(collection, rows, { members: everyRow(rows) });
      const accept = (row: number) => row % 12 === 0;
      for (const query of queries) {
        const truth = new Set(scan(rows, query, { k: 10, accept }).map(({ row }) => row));
        const hits = await index.search(query, 10, accept);
        expect(hits.filter(({ row }) => truth.has(row)).length).toBeGreaterThanOrEqual(9);
      }
      expect(fallbacks).toEqual([]);
    });

    it('is refused over another number of rows, and when it is not there', async () => {
      const { collection } = await collect(rows, Uint32Array.of(3, 4, 5));
      await expect(milvus.open(collection, rows, { members: Uint32Array.of(1, 2) })).rejects.toThrow(
        /expected 2 vectors, got 3;/,
      );
      await expect(milvus.open(`${own}_none`, rows, { members: Uint32Array.of(1) })).rejects.toThrow(
        /got no such collection/,
      );
    });

    it('is what an alias names, from one moment to the next, and back', async () => {
      const [old, next] = [await collect(rows, Uint32Array.of(1, 2)), await collect(rows, Uint32Array.of(1, 2, 3))];
      const alias = `${own}_live`;
      for (const [{ collection }, size] of [
        [old, 2],
        [next, 3],
        [old, 2],
      ] as const) {
        await milvus.promote(alias, collection);
        const members = Uint32Array.from({ length: size }, (_, i) => i + 1);
        const index = await milvus.open(alias, rows, { members });
        expect((await index.search(queries[0]!, 10)).map(({ row }) => row).toSorted()).toEqual([...members]);
      }
    });
  });

  describe('a Milvus that is late', () => {
    const { rows: matrix, queries } = clusteredVectors({ count: 300, dimension: 16, clusters: 9, queries: 1, seed: 2 });
    const rows = float32Rows(matrix, 16);

    it('is stood in for by a scan where the market is small, and the query is refused where it is not', async () => {
      const { collection } = await collect(rows);
      const small = await (await open({ deadlineMs: 0 })).open(collection, rows, { members: everyRow(rows) });
      expect(await small.search(queries[0]!, 10)).toEqual(scan(rows, queries[0]!, { k: 10 }));
      expect(fallbacks.splice(0)).toEqual([{ to: 'scan', reason: 'no answer within 0 ms' }]);
      const large = await (await open({ deadlineMs: 0, scanRows: 299 })).open(collection, rows, {
        members: everyRow(rows),
      });
      await expect(Promise.resolve(large.search(queries[0]!, 10))).rejects.toMatchObject({
        code: 'backend_unavailable',
        retryAfterSeconds: 1,
      });
      expect(fallbacks.splice(0)).toEqual([{ to: 'refused', reason: 'no answer within 0 ms' }]);
    });
  });
}

describe('an address where nothing answers', () => {
  it('is refused in one line', async () => {
    await expect(openMilvus({ address: '127.0.0.1:9' })).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringMatching(/^HARNESS_MILVUS: expected a Milvus that answers at 127\.0\.0\.1:9, got: /),
    });
  });
});
