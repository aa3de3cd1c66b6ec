/**
 * The device that scans markets instead of searching their graphs. A market whose rows do not fit one ONNX graph, or
 * that the device does not take or answer for, is searched in its graph: every generation has one, so that losing the
 * device is no outage.
 */
import type { DeviceName } from '../encoder/encoder.ts';
import type { AnnIndex } from './ann-index.ts';
import { type DeviceScan, openDeviceScan } from './device-scan.ts';
import type { VectorRows } from './vector-rows.ts';

export interface ScanFallback {
  /** `market`: one is in its graph for as long as its generation is loaded; `search`: the device did not answer a query. */
  of: 'market' | 'search';
  reason: string;
}

export interface ScanDevice {
  /** An index over `members` of the rows; `graph` opens the one to fall back on, which happens only where it is needed. */
  open(rows: VectorRows, members: ArrayLike<number>, graph: () => AnnIndex | Promise<AnnIndex>): Promise<AnnIndex>;
  /** Markets on the device now; since the start, queries asked of it and the runs that they shared. */
  stats(): { markets: number; queries: number; batches: number };
  /** Closes every scan that is still open. */
  close(): Promise<void>;
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Scans on `provider`; the first one opened starts it. */
export function openScanDevice({
  provider,
  onFallback,
}: {
  provider: DeviceName;
  onFallback?: (fallback: ScanFallback) => void;
}): ScanDevice {
  const scans = new Set<DeviceScan>();
  const ended = { queries: 0, batches: 0 };
  const end = async (scan: DeviceScan) => {
    await scan.close();
    if (!scans.delete(scan)) return; // another call was first
    ended.queries += scan.stats().queries;
    ended.batches += scan.stats().batches;
  };
  return {
    async open(rows, members, graph) {
      let scan: DeviceScan;
      try {
        scan = await openDeviceScan(rows, { members, provider });
      } catch (error) {
        onFallback?.({ of: 'market', reason: reasonOf(error) });
        return graph();
      }
      scans.add(scan);
      let opening: Promise<AnnIndex> | undefined;
      return {
        size: scan.size,
        dimension: scan.dimension,
        async search(query, k, accept) {
          try {
            return await scan.search(query, k, accept);
          } catch (error) {
            if (error instanceof RangeError) throw error; // the caller's mistake
            onFallback?.({ of: 'search', reason: reasonOf(error) });
            opening ??= Promise.resolve(graph()).catch((failure: unknown) => {
              opening = undefined; // tried again for the next query
              throw failure;
            });
            return (await opening).search(query, k, accept);
          }
        },
        close: () => end(scan),
      };
    },
    stats() {
      const counts = [...scans].map((scan) => scan.stats());
      const sum = (of: 'queries' | 'batches') => counts.reduce((total, each) => total + each[of], ended[of]);
      return { markets: scans.size, queries: sum('queries'), batches: sum('batches') };
    },
    async close() {
      await Promise.all([...scans].map(end));
    },
  };
}
