/**
 * The edge on this machine: the Worker as it is deployed, run by workerd, with Cache API and Queue simulated by Miniflare.
 * The simulated queue lives in memory, so it is drained before the end.
 */
import { readFile } from 'node:fs/promises';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare, type V4MiniflareOptions } from 'miniflare';
import type { EventCounts } from '../edge/events.ts';
import { HarnessError } from '../shared/problem.ts';
import { buildEdgeApart, WASM_MODULE } from './edge-build.ts';
import { isRemark, V8_FLAGS } from './edge-serve/config.ts';
import { requireFreePort } from './free-port.ts';

export interface EdgeOptions {
  port: number;
  backendUrl: string;
  /** Key ring shared with the backend, `id:secret[,id:secret]`. */
  keys: string;
  /** Linked from the playground. */
  dashboardUrl?: string;
  /** Variables of wrangler.toml to set otherwise. */
  vars?: Record<string, string>;
  /** A line that the Worker or workerd logged; standard error by default. */
  onLine?: (line: string) => void;
}

export interface RunningEdge {
  readonly url: string;
  /** Waits until every event is delivered, at most `drainMs`, then ends workerd; `undelivered` is 0 only when that is known. */
  stop(drainMs?: number): Promise<{ undelivered: number }>;
}

/** Whom it serves: this machine only. */
const HOST = '127.0.0.1';

/** Events that were issued and are neither stored nor refused nor lost. */
async function eventsOnTheWay(url: string, timeoutMs: number): Promise<number> {
  const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(timeoutMs) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const { issued, late, direct, failed, delivered, rejected } = ((await response.json()) as { events: EventCounts })
    .events;
  return issued + late - direct - failed - delivered - rejected;
}

/**
 * The pause between two questions, and how long each waits for its answer: long enough for a busy machine, and not far
 * beyond the end.
 */
const ASK = { everyMs: 50, leastMs: 1_000, mostMs: 5_000 };

/**
 * Asks an edge until it has nothing on its way, or for `drainMs`; resolves with the last number that it gave. That is 0
 * only when it said so: an edge that does not answer is asked again, and if it never does, at least one event may be
 * lost.
 */
export async function drain(url: string, { drainMs, onLine }: { drainMs: number; onLine: (line: string) => void }) {
  const until = performance.now() + drainMs;
  let left = 1;
  let isSaid = false;
  for (;;) {
    const leftMs = until - performance.now();
    try {
      left = await eventsOnTheWay(url, Math.max(ASK.leastMs, Math.min(ASK.mostMs, leftMs)));
      if (left <= 0) return 0;
    } catch (error) {
      if (!isSaid) onLine(`The edge does not say what it still has to deliver, and is asked again: ${error}`);
      isSaid = true;
    }
    if (performance.now() >= until) return left;
    await new Promise((resolve) => setTimeout(resolve, ASK.everyMs));
  }
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
  const { port, onLine = console.error } = options;
  await requireFreePort(HOST, port);
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
    unsafeDirectSockets: [{ host: HOST, port }],
    host: HOST,
    port: 0,
    cf: false,
    telemetry: { enabled: false },
    log: new Log(LogLevel.WARN),
    handleStructuredLogs: ({ message }) => isRemark(message) || onLine(message),
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
  const stop = async (drainMs: number) => {
    const undelivered = await drain(url, { drainMs, onLine });
    await miniflare.dispose();
    return { undelivered };
  };
  let stopped: ReturnType<typeof stop> | undefined;
  return {
    url,
    stop(drainMs = 15_000) {
      stopped ??= stop(drainMs);
      return stopped;
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
