/**
 * What may search vectors instead of this process's graphs, Milvus or a scan on the device: opened, and its failures
 * counted.
 */
import type { Logger } from 'pino';
import type { BackendConfig } from '../config.ts';
import type { Metrics } from '../http/metrics.ts';

/** Milvus, where the index is to be there; its library is loaded only then. */
export async function openIndexServer({ milvus: settings }: Readonly<BackendConfig>, log: Logger) {
  if (settings === undefined) return undefined;
  const { openMilvus } = await import('./milvus.ts');
  const fallbacks = { scan: 0, refused: 0, left: 0 };
  const milvus = await openMilvus({
    ...settings,
    onFallback({ to, reason }) {
      // Once a kind: a Milvus that is away would fill the log; the metric counts.
      if (fallbacks[to]++ === 0) log.error({ to, reason }, 'Milvus failed or was late');
    },
  });
  return Object.assign(milvus, { fallbacks });
}

/** The device, where it is to scan instead of graphs; its library is loaded only then. */
export async function openScan({ index, device }: Readonly<BackendConfig>, log: Logger) {
  if (index !== 'scan') return undefined;
  const { openScanDevice } = await import('./scan-device.ts');
  const fallbacks = { market: 0, search: 0 };
  const scan = openScanDevice({
    provider: device,
    onFallback({ of, reason }) {
      // Once a kind, as for Milvus.
      if (fallbacks[of]++ === 0) log.error({ of, reason }, `not scanned on ${device}: searched in the graph`);
    },
  });
  return Object.assign(scan, { fallbacks });
}

export interface Engines {
  milvus: Awaited<ReturnType<typeof openIndexServer>>;
  scan: Awaited<ReturnType<typeof openScan>>;
}

/** What the engines know of themselves, as metrics. */
export function watchEngines(metrics: Metrics, { milvus, scan }: Engines): void {
  for (const [to, help] of [
    ['scan', 'Searches that Milvus did not answer and that were done here.'],
    ['refused', 'Queries refused because Milvus did not answer.'],
    ['left', 'Collections in Milvus that could not be removed.'],
  ] as const)
    if (milvus !== undefined)
      metrics.counter({ name: `harness_milvus_${to}_total`, help, read: () => milvus.fallbacks[to] });
  if (scan === undefined) return;
  const markets = 'Markets that are scanned on the device now.';
  metrics.gauge({ name: 'harness_scan_markets', help: markets, read: () => scan.stats().markets });
  for (const [name, help, read] of [
    ['queries', 'Queries asked of scans.', () => scan.stats().queries],
    ['batches', 'Runs on the device that they shared.', () => scan.stats().batches],
    ['market_fallbacks', 'Markets that a generation searches in its graph instead.', () => scan.fallbacks.market],
    ['search_fallbacks', 'Queries searched in the graph instead.', () => scan.fallbacks.search],
  ] as const)
    metrics.counter({ name: `harness_scan_${name}_total`, help, read });
}
