/**
 * The edge on this machine: the Worker as it is deployed, run by workerd, with Cache API and Queue simulated by Miniflare.
 * The simulated queue lives in memory, so it is drained before the end.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare, type V4MiniflareOptions } from 'miniflare';
import type { EventCounts } from '../edge/events.ts';
import { HarnessError } from '../shared/problem.ts';
import { buildEdgeApart, WASM_MODULE } from './edge-build.ts';
import { isRemark, V8_FLAGS } from './edge-serve/config.ts';

export interface EdgeOptions {
  port: number;
  /** Interface to listen on; this machine only, unless told otherwise. */
  host?: string;
  backendUrl: string;
  /** Key ring shared with the backend, `id:secret[,id:secret]`. */
  keys: string;
  /** Linked from the playground. */
  dashboardUrl?: string;
  /** Folder for the data centre's cache; without one it is forgotten at the end. */
  persistDir?: string;
  /** Variables of wrangler.toml to set otherwise. */
  vars?: Record<string, string>;
  /** A line that the Worker or workerd logged; standard error by default. */
  onLine?: (line: string) => void;
}

export interface RunningEdge {
  readonly url: string;
  /** Waits until queue and outbox have delivered what they hold, at most `drainMs`, then ends workerd. */
  stop(drainMs?: number): Promise<{ undelivered: number }>;
}

/** Throws `configuration` that names the port unless it can be listened on. */
async function requireFreePort(host: string, port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${cause.code})`;
      const message = `Port ${port} of ${host} ${why}: stop that program, or give the edge another port with --port.`;
      reject(new HarnessError('configuration', message, { cause }));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

async function eventsOnTheWay(url: string): Promise<number> {
  const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) });
  const { events } = (await response.json()) as { events: EventCounts };
  return events.queued + events.outboxed + events.late - events.delivered - events.rejected;
}

/** Polls until queue and outbox are empty, or for `drainMs`; resolves with what is still on the way then. */
async function drain(url: string, drainMs: number): Promise<number> {
  const until = performance.now() + drainMs;
  let left = await eventsOnTheWay(url);
  while (left > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    left = await eventsOnTheWay(url);
  }
  return left;
}

/** Runs `start`, then takes back the signal handlers that it installed: here the caller decides, because events drain first. */
function withoutSignalHandlers<T>(start: () => T): T {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const before = signals.map((signal) => process.listeners(signal));
  const started = start();
  for (const [i, signal] of signals.entries()) {
    for (const listener of process.listeners(signal)) {
      if (!before[i]!.includes(listener)) process.removeListener(signal, listener);
    }
  }
  return started;
}

/** Starts the edge; throws `configuration` when the port is taken or a setting is wrong. The caller handles signals. */
export async function startEdge(options: EdgeOptions): Promise<RunningEdge> {
  const { port, host = '127.0.0.1', onLine = console.error } = options;
  await requireFreePort(host, port);
  const { script, workerOptions } = await buildEdgeApart();
  process.env.MINIFLARE_WORKERD_V8_FLAGS ??= V8_FLAGS.join(' ');
  const settings: V4MiniflareOptions = {
    ...(workerOptions as Record<string, unknown>),
    modules: [
      { type: 'ESModule', path: 'worker.js', contents: script },
      { type: 'CompiledWasm', path: WASM_MODULE.name, contents: await readFile(WASM_MODULE.path) },
    ],
    modulesRoot: '/',
    bindings: {
      ...workerOptions.bindings,
      BACKEND_URL: options.backendUrl,
      HARNESS_KEYS: options.keys,
      ...(options.dashboardUrl ? { DASHBOARD_URL: options.dashboardUrl } : {}),
      ...options.vars,
    },
    // The Worker has a socket of its own. The entry socket, which leads through Miniflare's router, is ten times slower.
    unsafeDirectSockets: [{ host, port }],
    host: '127.0.0.1',
    port: 0,
    cf: false,
    telemetry: { enabled: false },
    log: new Log(LogLevel.WARN),
    handleStructuredLogs: ({ message }) => isRemark(message) || onLine(message),
    ...(options.persistDir === undefined ? {} : { resourcePersistencePath: options.persistDir }),
  };
  const miniflare = withoutSignalHandlers(() => new Miniflare(convertV4MiniflareOptions(settings)));
  await miniflare.ready;
  const url = (await miniflare.unsafeGetDirectURL()).origin;
  try {
    await requireSettings(url);
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
  return {
    url,
    async stop(drainMs = 15_000) {
      const undelivered = await drain(url, drainMs).catch(() => 0);
      await miniflare.dispose();
      return { undelivered };
    },
  };
}

/** Throws what the Worker says about its settings, if it says anything. */
async function requireSettings(url: string): Promise<void> {
  const response = await fetch(`${url}/healthz`);
  if (response.ok) return;
  const { detail } = (await response.json()) as { detail: string };
  throw new HarnessError('configuration', `The edge cannot start: ${detail}`);
}
