/** The adapters that hold something (socket, database, models, engines): opened side by side, each to be closed as soon as it is open. */
import type { Logger } from 'pino';
import { requireSameSpace } from '../shared/bundle.ts';
import { HarnessError } from '../shared/problem.ts';
import { type Closers, inTime } from './closers.ts';
import type { BackendConfig } from './config.ts';
import { connect } from './db/connect.ts';
import { lockDataFolder } from './db/data-folder.ts';
import { type Bundle, loadBundle } from './encoder/bundle.ts';
import { cachedEncoder } from './encoder/cached.ts';
import type { Encoder } from './encoder/encoder.ts';
import { createEncoder } from './encoder/pool.ts';
import { openServedModel } from './encoder/served-model.ts';
import { listen } from './http/server.ts';
import { openIndexServer, openScan } from './index/engines.ts';

export type Adapters = Awaited<ReturnType<typeof openAdapters>>;

/** Each is entered into `closers` as soon as it is open. The socket comes first, so that a taken port is reported at once. */
export async function openAdapters(options: { config: Readonly<BackendConfig>; log: Logger; closers: Closers }) {
  const { config, log, closers } = options;
  const folder = lockDataFolder(config.dataDir);
  closers.push(() => folder.release());
  const server = await listen(config);
  closers.push(() => server.close(0));
  const openEncoder = async (bundle: Bundle) => {
    const pool = await createEncoder({
      bundle,
      device: config.device,
      workers: config.encoderWorkers,
      maxQueued: config.encoderQueue,
      onRestart: (why) => log.error({ why }, 'an encoder worker ended and was replaced'),
      onFallback: (device) => log.warn(device, `encoding on ${device.provider}, not on ${device.requested}`),
    });
    return cachedEncoder(pool, { maxBytes: config.embeddingCacheBytes });
  };
  const opening = [
    connect({
      url: config.databaseUrl,
      folder,
      limits: config.sessionLimits,
      onRestart: () => log.error('the embedded database had died and was opened again'),
    }).then((connection) => {
      closers.push(() => connection.close());
      return connection;
    }),
    openServedModel({ dir: config.bundleDir, open: openEncoder }).then((served) => {
      closers.push(() => served.encoder.close());
      return served;
    }),
    openCandidate(config.candidateBundleDir, openEncoder).then((candidate) => {
      closers.push(() => candidate?.encoder.close());
      return candidate;
    }),
    openIndexServer(config, log).then((milvus) => {
      closers.push(() => milvus?.close());
      return milvus;
    }),
    openScan(config, log).then((scan) => {
      if (scan !== undefined) closers.push(inTime('the scan on a device', () => scan.close()));
      return scan;
    }),
  ] as const;
  await Promise.allSettled(opening); // where one fails, the other must have been opened to be closed
  const [connection, served, candidate, milvus, scan] = await Promise.all(opening);
  if (candidate !== undefined) requireOtherName(served.bundle, candidate.bundle);
  return { server, connection, served, candidate, milvus, scan };
}

/** The student that experiments may name beside the one that is served. */
async function openCandidate(dir: string | undefined, open: (bundle: Bundle) => Promise<Encoder>) {
  if (dir === undefined) return undefined;
  const bundle = await loadBundle(dir);
  return { bundle, encoder: await open(bundle) };
}

function requireOtherName({ manifest: served }: Bundle, { manifest: candidate }: Bundle): void {
  requireSameSpace(
    { what: `the bundle ${served.name}`, spaceId: served.spaceId },
    { what: `the candidate ${candidate.name}`, spaceId: candidate.spaceId },
  );
  if (served.name === candidate.name) {
    throw new HarnessError(
      'configuration',
      `HARNESS_CANDIDATE_BUNDLE: expected another name than the served bundle's, got ${candidate.name} too; train it under a name of its own.`,
    );
  }
}
