/**
 * The whole system on one machine: backend and edge as child processes over one data folder, with the bundled market
 * loaded on first start. `npm start`, `npm run traffic`, the end-to-end tests and the benchmarks all start it here.
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { makeFolder } from '../gpu-backend/make-folder.ts';
import type { GenerationList } from '../shared/contract/generations.ts';
import { HarnessError } from '../shared/problem.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { type BackendClient, backendClient } from './backend-client.ts';
import { ENVIRONMENT } from './environment.ts';
import { makeKeys } from './keys.ts';
import { loadMarket } from './load-market.ts';
import { type Service, startService } from './service.ts';

export interface SystemOptions {
  /** Holds all state: database, generations, keys. */
  dataDir: string;
  /** Folder of the student's bundle. */
  bundleDir: string;
  edgePort: number;
  backendPort: number;
  /** Of the edge, over those of wrangler.toml. */
  edgeVars?: Record<string, string>;
  /** A line about what is happening. */
  say: (line: string) => void;
  /** A line of a child's log. */
  log?: (service: 'backend' | 'edge', line: string) => void;
  /** Progress of the first load, in ads. */
  onProgress?: (done: number, total: number) => void;
  /** How often a backend that dies is started again before the system gives up. */
  restarts?: number;
}

export interface System {
  edgeUrl: string;
  backendUrl: string;
  backend: BackendClient;
  /** Process ids by service, for tests that kill one. */
  pids(): { backend: number; edge: number };
  /** Resolves when the system has given up on its own, with the reason. */
  failed: Promise<string>;
  /** Drains the edge's events into the backend, then stops both. */
  stop(): Promise<{ undelivered: number }>;
}

const entry = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Starts everything; resolves when the edge answers with a live generation behind it. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { dataDir, say, restarts = 5 } = options;
  if (options.edgePort === options.backendPort)
    throw new HarnessError(
      'configuration',
      `Expected a port each for edge and backend, got ${options.edgePort} for both.`,
    );
  makeFolder('HARNESS_DATA', dataDir);
  const keys = ENVIRONMENT.keys ?? makeKeys(dataDir);
  const host = '127.0.0.1';
  const backendUrl = `http://${host}:${options.backendPort}`;
  const services: { backend?: Service; edge?: Service } = {};
  const { promise: failed, resolve: fail } = Promise.withResolvers<string>();
  let stopping = false;
  let left = restarts;

  /** If this process dies, the edge still needs the backend for the events of its queue, which lives in memory. */
  const pair = () => services.edge && services.backend?.outlive(services.edge.pid);

  async function startBackendProcess(): Promise<void> {
    services.backend = await startService({
      name: 'backend',
      entry: entry('./backend-main.ts'),
      // Not as production has it: all of the system is on one machine, where memory counts for more than its last queries a second.
      flags: ['--max-semi-space-size=8'],
      env: {
        HOST: host, // whatever the environment says: the edge and the commands look for it there
        PORT: String(options.backendPort),
        HARNESS_DATA: resolve(dataDir),
        HARNESS_BUNDLE: resolve(options.bundleDir),
        HARNESS_KEYS: keys,
      },
      onLine: (line) => options.log?.('backend', line),
      onExit: (code, signal) => {
        if (stopping) return;
        if (left-- <= 0) return fail(`The backend ended ${restarts + 1} times (last: ${signal ?? code}).`);
        say(`The backend ended (${signal ?? code}); starting it again.`);
        startBackendProcess().catch((error: Error) => fail(error.message));
      },
    });
    pair();
  }

  async function startEdgeProcess(): Promise<void> {
    services.edge = await startService({
      name: 'edge',
      entry: entry('./edge-main.ts'),
      // The host only starts workerd and waits: less memory for it costs no query anything.
      flags: ['--max-semi-space-size=1', '--optimize-for-size'],
      env: {
        EDGE_PORT: String(options.edgePort),
        BACKEND_URL: backendUrl,
        HARNESS_KEYS: keys,
        DASHBOARD_URL: `${backendUrl}/dashboard`,
        EDGE_VARS: JSON.stringify(options.edgeVars ?? {}),
      },
      onLine: (line) => options.log?.('edge', line),
      onExit: (code, signal) => stopping || fail(`The edge ended (${signal ?? code}).`),
    });
    pair();
  }

  async function stop(): Promise<{ undelivered: number }> {
    stopping = true;
    // Longer than the edge drains its queue, which lives in memory: what is left in it would be lost.
    const edge = await services.edge?.stop(20_000);
    await services.backend?.stop(30_000); // longer than its requests may take
    // An edge that was killed could not say: as far as is known, what it had is not delivered.
    return { undelivered: services.edge === undefined ? 0 : Number(edge?.undelivered ?? 1) };
  }

  // Side by side: each takes seconds, and the edge waits for its backend as it does in production.
  const starting = [startBackendProcess(), startEdgeProcess()];
  try {
    await Promise.all(starting);
    const backend = backendClient(backendUrl, parseKeyRing(keys));
    const { live } = await backend<z.infer<typeof GenerationList>>('GET', '/v1/generations');
    if (live === null) {
      say('First start: loading the bundled market ...');
      await loadMarket({
        backendUrl,
        keys,
        ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
      });
    }
    return {
      edgeUrl: services.edge!.url,
      backendUrl,
      backend,
      pids: () => ({ backend: services.backend!.pid, edge: services.edge!.pid }),
      failed,
      stop,
    };
  } catch (error) {
    stopping = true;
    await Promise.allSettled(starting);
    await stop();
    throw error;
  }
}
