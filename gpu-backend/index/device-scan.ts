/**
 * Exact search on the device that encodes, for machines with a GPU: all rows against all queries that wait, in one product.
 * Queries that come while one runs are the next batch. The device proposes rows in its own precision, the rows here score
 * them, so it answers with the same scores as every other adapter.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { HarnessError } from '../../shared/problem.ts';
import type { DeviceName } from '../encoder/encoder.ts';
import { type AnnIndex, byScore, type Hit, requireDimension } from './ann-index.ts';
import type { FromScan, ScanSettings, ToScan } from './device-scan-worker.ts';
import { scan } from './exact.ts';
import type { VectorRows } from './vector-rows.ts';

export interface DeviceScan extends AnnIndex {
  search(query: Float32Array, k: number, accept?: (row: number) => boolean): Promise<Hit[]>;
  /** Batches run and queries in them. */
  stats(): { batches: number; queries: number };
  /** Takes no new searches, finishes those that began, then lets go of the device. */
  close(): Promise<void>;
}

/** Queries of one product, at most. */
const MAX_BATCH = 64;
/** Rows brought over before others get a turn: some milliseconds. */
const TURN = 512;
/** Bytes that one ONNX file can hold. */
const MAX_BYTES = 2 ** 31 - 2 ** 20;

interface Waiting {
  query: Float32Array;
  count: number;
  resolve(positions: Int32Array): void;
  reject(error: unknown): void;
}

/**
 * Brings `members` of the rows (all when absent) onto the device. Throws `configuration` when the device does not start or has
 * too little room, and RangeError for more rows than one graph can hold.
 */
export async function openDeviceScan(
  rows: VectorRows,
  { members, provider }: { members?: ArrayLike<number> | undefined; provider: DeviceName },
): Promise<DeviceScan> {
  const { dimension } = rows;
  const size = members?.length ?? rows.count;
  const bytes = size * dimension * (provider === 'cpu' ? 4 : 2);
  if (bytes > MAX_BYTES)
    throw new RangeError(`expected rows of at most ${MAX_BYTES} bytes for one graph, got ${bytes}`);
  const rowAt = (position: number) => members?.[position] ?? position;
  const matrix = new SharedArrayBuffer(4 * size * dimension);
  const whole = new Float32Array(matrix);
  for (let i = 0; i < size; i++) {
    whole.set(rows.unit(rowAt(i)), i * dimension);
    if (i % TURN === TURN - 1) await nextTurn();
  }

  const settings: ScanSettings = { rows: matrix, count: size, dimension, provider };
  const worker = new Worker(new URL('./device-scan-worker.ts', import.meta.url), {
    workerData: settings,
    execArgv: [],
  });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const send = (message: ToScan) => worker.postMessage(message);
  const counts = { batches: 0, queries: 0 };
  /** Searches begun and not yet answered: one may ask the device twice. */
  let searching = 0;
  const idle = Promise.withResolvers<void>();
  let waiting: Waiting[] = [];
  let running: Waiting[] = [];
  let closing = false;
  /** Why the device answers no more. */
  let gone: HarnessError | undefined;

  const dispatch = () => {
    if (running.length > 0 || waiting.length === 0) return;
    [running, waiting] = [waiting.slice(0, MAX_BATCH), waiting.slice(MAX_BATCH)];
    const queries = new Float32Array(running.length * dimension);
    for (const [i, { query }] of running.entries()) queries.set(query, i * dimension);
    const k = Math.max(...running.map(({ count }) => count));
    send({ kind: 'search', id: counts.batches++, queries, k });
    counts.queries += running.length;
  };
  const settle = (how: (one: Waiting, index: number) => void) => {
    const done = running;
    running = [];
    for (const [i, one] of done.entries()) how(one, i);
    dispatch();
  };

  await new Promise<void>((resolve, reject) => {
    const lost = (why: string) => {
      const error = new HarnessError(
        'configuration',
        `The scan on ${provider} did not start or ended: ${why}; set HARNESS_DEVICE to one that is there.`,
      );
      gone ??= error;
      reject(error);
      waiting = [...running, ...waiting];
      running = [];
      for (const one of waiting.splice(0)) one.reject(error);
    };
    worker.once('error', (error) => lost(error instanceof Error ? error.message : String(error)));
    worker.once('exit', (code) => lost(`exit code ${code}`));
    worker.on('message', (message: FromScan) => {
      switch (message.kind) {
        case 'ready':
          return resolve();
        case 'failed':
          return lost(message.message);
        case 'found': {
          const k = message.positions.length / running.length;
          return settle(({ count, resolve: found }, i) => found(message.positions.subarray(i * k, i * k + count)));
        }
        case 'error':
          return settle(({ reject: failed }) =>
            failed(new HarnessError('internal', `The scan failed: ${message.message}`)),
          );
      }
    });
  });

  const propose = async (query: Float32Array, count: number): Promise<Hit[]> => {
    const positions = await new Promise<Int32Array>((resolve, reject) => {
      if (gone !== undefined) return reject(gone);
      waiting.push({ query, count, resolve, reject });
      dispatch();
    });
    return Array.from(positions, rowAt).map((row) => ({ row, score: rows.cosine(row, query) }));
  };

  const best = async (query: Float32Array, wanted: number, accept?: (row: number) => boolean): Promise<Hit[]> => {
    // A few more than wanted: the device's precision confuses neighbours at the edge, and a filter takes some away.
    const margin = wanted + Math.max(16, wanted >> 2);
    for (const count of accept === undefined ? [margin] : [margin, 16 * margin]) {
      const hits = (await propose(query, Math.min(size, count))).filter(({ row }) => accept?.(row) ?? true);
      if (hits.length >= wanted || count >= size) return hits.sort(byScore).slice(0, wanted);
    }
    return scan(rows, query, { k: wanted, members, accept });
  };

  return {
    size,
    dimension,
    stats: () => ({ ...counts }),
    async search(query, k, accept) {
      requireDimension(query, dimension);
      if (closing) throw new HarnessError('not_ready', 'The index is closed.');
      const wanted = Math.min(k, size);
      if (wanted <= 0) return [];
      searching++;
      try {
        return await best(query, wanted, accept);
      } finally {
        if (--searching === 0 && closing) idle.resolve();
      }
    },
    async close() {
      closing = true;
      if (searching > 0) await idle.promise;
      send({ kind: 'close' });
      await exited;
    },
  };
}
