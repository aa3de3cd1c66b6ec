import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exactIndex, scan } from '../../../gpu-backend/index/exact.ts';
import { openScanDevice, type ScanDevice, type ScanFallback } from '../../../gpu-backend/index/scan-device.ts';
import { float32Rows } from '../../../gpu-backend/index/vector-rows.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';

const dimension = 24;
const { rows: matrix, queries } = clusteredVectors({ count: 500, dimension, clusters: 20, queries: 100, seed: 5 });
const rows = float32Rows(matrix, dimension);
const members = Uint32Array.from({ length: 250 }, (_, i) => 2 * i);

let fallbacks: ScanFallback[];
let device: ScanDevice;
const opened = (provider: 'cpu') => openScanDevice({ provider, onFallback: (fallback) => fallbacks.push(fallback) });
beforeEach(() => {
  fallbacks = [];
  device = opened('cpu');
});
afterEach(() => device.close());

describe('openScanDevice', () => {
  const noGraph = () => expect.unreachable();

  it('scans each market on the device, its queries together, and has no need of a graph', async () => {
    const odd = Uint32Array.from(members, (row) => row + 1);
    const [even, other] = [await device.open(rows, members, noGraph), await device.open(rows, odd, noGraph)];
    const answers = await Promise.all(queries.flatMap((query) => [even.search(query, 5), other.search(query, 5)]));
    expect(answers).toEqual(
      queries.flatMap((query) => [scan(rows, query, { k: 5, members }), scan(rows, query, { k: 5, members: odd })]),
    );
    // In each market the first alone, then as many as wait, 64 at most.
    expect(device.stats()).toEqual({ markets: 2, queries: 200, batches: 6 });
    expect(fallbacks).toEqual([]);
  });

  it('lets go of a market when it is closed, after the searches that began, and still counts them', async () => {
    const index = await device.open(rows, members, noGraph);
    // So few are accepted that the device is asked a second time, and then all rows are scanned.
    const began = queries.slice(0, 3).map((query) => index.search(query, 5, (row) => row === 4));
    await index.close!();
    for (const hits of await Promise.all(began)) expect(hits.map(({ row }) => row)).toEqual([4]);
    expect(device.stats()).toMatchObject({ markets: 0, queries: 6 });
    await index.close!();
    expect(device.stats()).toMatchObject({ markets: 0, queries: 6 });
    expect(fallbacks).toEqual([]);
  });

  it('searches the graph of a market that one ONNX graph cannot hold', async () => {
    const large = { ...rows, dimension: 2 ** 22 }; // refused before a row is read
    const graph = exactIndex(rows, members);
    expect(await device.open(large, members, () => graph)).toBe(graph);
    expect(fallbacks).toEqual([
      { of: 'market', reason: expect.stringMatching(/at most \d+ bytes for one graph, got/) },
    ]);
    expect(device.stats().markets).toBe(0);
  });

  it('searches the graphs where the device does not start', async () => {
    const absent = opened('tpu' as 'cpu');
    const graph = exactIndex(rows, members);
    expect(await absent.open(rows, members, async () => graph)).toBe(graph);
    expect(fallbacks).toEqual([{ of: 'market', reason: expect.stringContaining('The scan on tpu did not start') }]);
    await absent.close();
  });

  it('opens the graph once for the queries that a lost device does not answer', async () => {
    let opens = 0;
    const index = await device.open(rows, members, () => {
      opens++;
      return exactIndex(rows, members);
    });
    await device.close();
    const answers = await Promise.all(queries.slice(0, 3).map((query) => index.search(query, 5)));
    expect(answers).toEqual(queries.slice(0, 3).map((query) => scan(rows, query, { k: 5, members })));
    expect(opens).toBe(1);
    expect(fallbacks.map(({ of }) => of)).toEqual(['search', 'search', 'search']);
  });

  it('tries again for the next query where the graph could not be opened', async () => {
    let opens = 0;
    const index = await device.open(rows, members, async () => {
      if (opens++ === 0) throw new Error('too many open files');
      return exactIndex(rows, members);
    });
    await device.close();
    await expect(index.search(queries[0]!, 5)).rejects.toThrow('too many open files');
    expect(await index.search(queries[0]!, 5)).toEqual(scan(rows, queries[0]!, { k: 5, members }));
    await index.search(queries[1]!, 5);
    expect(opens).toBe(2);
  });

  it('leaves the mistakes of the caller to the caller', async () => {
    const index = await device.open(rows, members, noGraph);
    await expect(index.search(new Float32Array(3), 5)).rejects.toThrow(RangeError);
    expect(fallbacks).toEqual([]);
  });
});
