import { afterAll, describe, expect, it } from 'vitest';
import { type DeviceScan, openDeviceScan } from '../../../gpu-backend/index/device-scan.ts';
import { scan } from '../../../gpu-backend/index/exact.ts';
import { float32Rows } from '../../../gpu-backend/index/vector-rows.ts';
import { annIndexConformance } from '../../conformance/ann-index.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

const opened: DeviceScan[] = [];
const open = async (...options: Parameters<typeof openDeviceScan>) => {
  const index = await openDeviceScan(...options);
  opened.push(index);
  return index;
};
afterAll(() => Promise.all(opened.map((index) => index.close())));

annIndexConformance({
  name: 'the scan on the device',
  build: (rows, members) => open(rows, { members, provider: 'cpu' }),
  minRecall: 1,
});

describe('openDeviceScan', () => {
  const dimension = 24;
  const { rows: matrix, queries } = clusteredVectors({ count: 500, dimension, clusters: 20, queries: 100, seed: 5 });
  const rows = float32Rows(matrix, dimension);

  it('answers queries that come together in few products, each with its own hits and its own k', async () => {
    const index = await open(rows, { provider: 'cpu' });
    const kOf = (i: number) => 1 + 30 * (i % 7);
    const answers = await Promise.all(queries.map((query, i) => index.search(query, kOf(i))));
    for (const [i, query] of queries.entries()) expect(answers[i]).toEqual(scan(rows, query, { k: kOf(i) }));
    // The first alone, then as many as wait, 64 at most.
    expect(index.stats()).toEqual({ batches: 3, queries: 100 });
  });

  it('lets others run while it brings the rows over', async () => {
    let turns = 0;
    const count = () => void (++turns < 1_000 && setImmediate(count));
    setImmediate(count);
    const matrix = new Float32Array(4_000 * dimension).fill(1);
    const many = float32Rows(matrix, dimension);
    let atLast = 0;
    const unit = (row: number) => {
      atLast = turns;
      return many.unit(row);
    };
    await open({ ...many, unit }, { provider: 'cpu' });
    expect(atLast).toBeGreaterThan(4);
  });

  it('finishes what it took before it closes, and takes nothing afterwards', async () => {
    const index = await openDeviceScan(rows, { provider: 'cpu' });
    const taken = queries.slice(0, 10).map((query) => index.search(query, 5));
    await index.close();
    for (const hits of await Promise.all(taken)) expect(hits).toHaveLength(5);
    await expect(index.search(queries[0]!, 5)).rejects.toMatchObject({ code: 'not_ready' });
  });

  it('says so where the device is not there', async ({ skip }) => {
    const index = await openDeviceScan(rows, { provider: 'cuda' }).catch((error: unknown) => error);
    if (index instanceof Error) {
      expect(index).toMatchObject({ code: 'configuration', message: expect.stringContaining('The scan on cuda') });
      return skip('no CUDA on this machine: the scan there was not compared');
    }
    const onDevice = index as DeviceScan;
    for (const query of queries) expect(await onDevice.search(query, 10)).toEqual(scan(rows, query, { k: 10 }));
    await onDevice.close();
  });
});
