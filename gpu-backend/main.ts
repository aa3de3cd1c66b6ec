/** The backend as a program and as a function: adapters are opened in order, and closed in reverse. */
import { pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { HarnessError } from '../shared/problem.ts';
import { openAdapters } from './adapters.ts';
import { startBackground } from './background.ts';
import { type Closers, closeAll, inTime } from './closers.ts';
import { exitWith, parseCommandLine } from './command-line.ts';
import { type BackendConfig, parseConfig } from './config.ts';
import { createService } from './service.ts';

export interface Backend {
  url: string;
  /** Lets running requests finish, `drainMs` at most, and lets go of everything, in about 3 s more. */
  stop(): Promise<void>;
}

/**
 * Starts the service; resolves when it answers, which before the first generation is `not_ready` for queries. Throws a
 * {@link HarnessError} in one line for what the operator can fix, and then leaves nothing open.
 */
export async function startBackend(config: Readonly<BackendConfig>): Promise<Backend> {
  const began = performance.now();
  const log = pino({ level: config.logLevel, base: null });
  const closers: Closers = [];
  let closed: Promise<void> | undefined;
  const stop = () => {
    closed ??= closeAll(closers, log);
    return closed;
  };
  try {
    if (config.traceRate !== undefined) {
      const { startTracing } = await import('./tracing/export.ts');
      const tracing = startTracing({ version: packageJson.version, rate: config.traceRate });
      closers.push(inTime('traces', () => tracing.stop()));
    }
    const adapters = await openAdapters({ config, log, closers });
    const { app, stopping, metrics, peers, rebuild, events, canary, candidateLog } = await createService({
      ...adapters,
      config,
      log,
    });
    const { server, connection } = adapters;
    closers.push(() => candidateLog?.close());
    closers.push(() => events.close());
    server.serve(app);
    const drain = async () => {
      stopping.abort(new HarnessError('not_ready', 'The backend is stopping.'));
      await server.close(config.drainMs);
    };
    closers.push([drain, ...startBackground({ connection, metrics, peers, canary, rebuild, config, log })]);
    log.info({ url: server.url, seconds: Math.round(performance.now() - began) / 1000 }, 'listening');
    return { url: server.url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

if (import.meta.main) {
  parseCommandLine({ name: 'node gpu-backend/main.ts', description: 'Runs the backend until SIGINT or SIGTERM.' });
  let backend: Backend | undefined;
  let stopping = false;
  // Before anything else: the first process of a container is not ended by a signal that it has no handler for.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(signal, async () => {
      if (backend === undefined) process.exit(code); // what is half open recovers, as from a crash
      if (stopping) return;
      stopping = true;
      await backend.stop();
      process.exit(0);
    });
  }
  try {
    backend = await startBackend(parseConfig(process.env));
  } catch (error) {
    exitWith(error);
  }
}
