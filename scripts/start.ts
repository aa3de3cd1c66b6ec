/** `npm start`: the whole system on this machine, until Ctrl-C. */
import { createWriteStream, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import { folderRefused, makeFolder } from '../gpu-backend/make-folder.ts';
import { HarnessError } from '../shared/problem.ts';
import { ENVIRONMENT } from './environment.ts';
import { progressBar } from './progress.ts';
import { type Service, startService } from './service.ts';
import { startSystem } from './system.ts';

const PORTS = { edge: 8787, backend: 8788 };

const program = new Command('npm start --')
  .description('Starts backend and edge on this machine, with the bundled market and student.')
  .option('--port <number>', 'port of the edge', Number, PORTS.edge)
  .option('--backend-port <number>', 'port of the backend', Number, PORTS.backend)
  .option('--data <folder>', 'where all state lives', ENVIRONMENT.dataDir)
  .option('--bundle <folder>', 'the student to serve', ENVIRONMENT.bundleDir)
  .option('--live', 'keep people searching and clicking, so that the dashboard moves')
  .option('--verbose', 'print the log of all services')
  .parse();
const options = program.opts<{
  port: number;
  backendPort: number;
  data: string;
  bundle: string;
  live?: boolean;
  verbose?: boolean;
}>();

for (const [name, port] of [
  ['--port', options.port],
  ['--backend-port', options.backendPort],
] as const) {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) program.error(`${name}: expected a port from 1 to 65535.`);
}

const logFile = join(options.data, 'system.log');
const logStream = openLog();
const bar = progressBar('ads');

function openLog() {
  try {
    makeFolder('--data', options.data);
    const stream = createWriteStream(logFile, { fd: openSync(logFile, 'a') });
    return stream.once('error', ({ message }) => console.error(`The log ends here: ${logFile}: ${message}.`));
  } catch (error) {
    return exitWith(error instanceof HarnessError ? error : folderRefused('--data', options.data, error));
  }
}

let system: Awaited<ReturnType<typeof startSystem>> | undefined;
let traffic: Service | undefined;
const log = (service: string, line: string) =>
  options.verbose ? console.log(`${service}  ${line}`) : logStream.write(`${service}  ${line}\n`);

/** People at the edge, as a process of their own, so that their processor time is not the edge's. */
function startLiveTraffic(edgeUrl: string): Promise<Service> {
  return startService({
    name: 'traffic',
    entry: fileURLToPath(new URL('./live-traffic.ts', import.meta.url)),
    env: { EDGE_URL: edgeUrl },
    onLine: (line) => log('traffic', line),
    onExit: (code, signal) => console.error(`The traffic ended (${signal ?? code}). See ${logFile}.`),
  });
}

/** The options of this command that set what a service's message names. */
const OPTIONS: Record<string, string> = {
  PORT: '--backend-port',
  HARNESS_DATA: '--data',
  HARNESS_BUNDLE: '--bundle',
};

function inOptions(error: unknown): unknown {
  if (!(error instanceof HarnessError)) return error;
  const message = error.message.replace(
    /\bset (PORT|HARNESS_DATA|HARNESS_BUNDLE) to\b/g,
    (_, name) => `set ${OPTIONS[name]} to`,
  );
  return new HarnessError(error.code, message, { cause: error });
}

/** Shown while the bar of the first load is full and the index is not there yet. */
function showLoad(done: number, total: number): void {
  bar.update(done, total);
  if (done < total) return;
  bar.stop();
  console.log(`${total.toLocaleString('en-US')} ads loaded; building their index ...`);
}

let stopRequested = false;
async function stop(code = 0): Promise<never> {
  if (stopRequested) return new Promise(() => {});
  stopRequested = true;
  console.log('\nStopping: delivering events, then the backend ...');
  const sent = await traffic?.stop(10_000);
  if (sent !== undefined) console.log(`Live traffic: ${sent.requests} searches, ${sent.clicks} clicks.`);
  const outcome = await system?.stop();
  if (outcome !== undefined && outcome.undelivered > 0)
    console.log(`${outcome.undelivered} events could not be delivered.`);
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop());

try {
  const began = performance.now();
  if (!existsSync(options.bundle))
    program.error(`--bundle: no folder ${options.bundle}; make one with npm run recipe.`);
  console.log('Starting backend and edge ...');
  system = await startSystem({
    dataDir: options.data,
    bundleDir: options.bundle,
    edgePort: options.port,
    backendPort: options.backendPort,
    say: console.log,
    log,
    onProgress: showLoad,
  });
  bar.stop();
  if (options.live) traffic = await startLiveTraffic(system.edgeUrl);
  // The other commands look for the usual ports.
  const toEdge = options.port === PORTS.edge ? '' : ` --edge ${system.edgeUrl}`;
  const toBackend = options.backendPort === PORTS.backend ? '' : ` -- --backend ${system.backendUrl}`;
  console.log(`Ready in ${((performance.now() - began) / 1000).toFixed(1)} s.

  ads         ${system.edgeUrl}/v1/ads?q=necktie
  playground  ${system.edgeUrl}/
  dashboard   ${system.backendUrl}/dashboard${options.live ? '?refresh=10' : ''}
  state       ${options.data}/  (delete it to start over; log in ${logFile})

${options.live ? 'People are searching and clicking.' : `Send people:    npm run traffic -- --queries 5000${toEdge}`}
Read the test:  npm run report${toBackend}
Ctrl-C stops everything.`);
  system.failed.then((reason) => {
    console.error(`${reason} See ${logFile}.`);
    void stop(1);
  });
} catch (error) {
  bar.stop();
  if (!stopRequested) exitWith(inOptions(error));
}
