/**
 * `npm run edge:serve`: the Worker as it is deployed, under plain `workerd serve`, for those without Cloudflare. Queue, KV
 * and Durable Objects are on this machine's disk and outlive the process; the reconciliation that Cloudflare's schedule
 * starts is started from here.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { exitWith } from '../gpu-backend/command-line.ts';
import { lockDataFolder } from '../gpu-backend/db/data-folder.ts';
import { authority } from '../gpu-backend/http/authority.ts';
import { HarnessError, Problem } from '../shared/problem.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { backendClient } from './backend-client.ts';
import { buildEdgeApart, bundle, WASM_MODULE } from './edge-build.ts';
import { EMBEDDED, isRemark, serveConfig } from './edge-serve/config.ts';
import { ENVIRONMENT } from './environment.ts';
import { requireFreePort } from './free-port.ts';
import { readKeys } from './keys.ts';
import { serviceUrl } from './service-url.ts';

export interface ServeOptions {
  host: string;
  port: number;
  backendUrl: string;
  /** Key ring shared with the backend, `id:secret[,id:secret]`. */
  keys: string;
  /** Folder for the generated configuration, queue, KV and Durable Objects. */
  dataDir: string;
  /** Variables of wrangler.toml to set otherwise. */
  vars?: Readonly<Record<string, string>>;
  /** Another module in place of the queue's stand-in, for measurements. */
  queueModule?: string;
  /** Folder of a bundle, with which the Worker encodes queries itself. */
  studentDir?: string | undefined;
  /** A line that the Worker or workerd logged. */
  onLine: (line: string) => void;
}

export interface ServedEdge {
  readonly url: string;
  readonly pid: number;
  /** Resolves when workerd has ended, with its exit code or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  stop(): Promise<void>;
}

const RECONCILE_MS = 60_000;
/** How long workerd may answer what it has begun; it would wait for ever for a client that does not end its request. Docker gives ten seconds. */
const DRAIN_MS = 8_000;
const source = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** workerd's own binary: it is miniflare's dependency. */
export function workerdBinary(): string {
  const { default: path } = createRequire(createRequire(import.meta.url).resolve('miniflare'))('workerd');
  return path;
}

/** Writes configuration and modules into the data folder; returns the configuration's path. */
async function writeConfig(options: ServeOptions): Promise<string> {
  const { host, port, backendUrl, dataDir, vars = {}, queueModule, studentDir } = options;
  const diskDir = resolve(dataDir, 'objects');
  mkdirSync(diskDir, { recursive: true });
  const standIn = (name: string) => bundle(source(`./edge-serve/${name}.worker.ts`));
  const build = await buildEdgeApart();
  const files = {
    [EMBEDDED.edge]: build.script,
    [EMBEDDED.kv]: await standIn('kv'),
    [EMBEDDED.queue]: await (queueModule === undefined ? standIn('queue') : bundle(queueModule)),
    [EMBEDDED.rateLimit]: await standIn('rate-limit'),
    'config.capnp': serveConfig({
      build,
      address: authority(host, port),
      // One machine has no data centre: its cache would never have anything, at the price of two calls per miss that leave garbage behind.
      vars: { BACKEND_URL: backendUrl, CACHE_API: 'off', ...vars },
      diskDir,
      studentDir: studentDir === undefined ? undefined : resolve(studentDir),
    }),
  };
  copyFileSync(WASM_MODULE.path, join(dataDir, EMBEDDED.wasm));
  for (const [name, contents] of Object.entries(files)) writeFileSync(join(dataDir, name), contents);
  return join(dataDir, 'config.capnp');
}

/** Asks until the Worker answers; throws what it says about its settings, or that workerd ended. */
async function untilReady(url: string, child: ChildProcess, words: readonly string[]): Promise<void> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new HarnessError('configuration', `workerd ended at once: ${words.join(' ')}`);
    const answer = await fetch(`${url}/healthz`).catch(() => undefined);
    if (answer?.ok) return;
    if (answer !== undefined) {
      const { detail } = Problem.parse(await answer.json());
      throw new HarnessError('configuration', `The edge cannot start: ${detail}`);
    }
    await new Promise((next) => setTimeout(next, 50));
  }
}

/** Starts workerd; throws `configuration` when it cannot run. The caller handles signals. */
export async function serveEdge(options: ServeOptions): Promise<ServedEdge> {
  const folder = lockDataFolder(options.dataDir);
  try {
    // A program that is there already would answer in the name of ours.
    await requireFreePort(options.host, options.port);
    const edge = await startWorkerd(options, await writeConfig(options));
    void edge.ended.then(folder.release);
    return edge;
  } catch (error) {
    folder.release();
    throw error;
  }
}

async function startWorkerd({ host, port, keys, onLine }: ServeOptions, config: string): Promise<ServedEdge> {
  const url = `http://${authority(host, port)}`;
  // Such as a link-local address with its zone: workerd would listen there, and nobody could reach it.
  if (!URL.canParse(url))
    throw new HarnessError('configuration', `--host: expected an address that a URL can have, got ${host}.`);
  const client = backendClient(url, parseKeyRing(keys), 'edge');
  const child = spawn(workerdBinary(), ['serve', '--experimental', config], {
    env: { ...process.env, HARNESS_KEYS: keys },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const words: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      for (const line of chunk.split('\n')) {
        if (line === '' || isRemark(line)) continue;
        words.length < 5 && words.push(line);
        onLine(line);
      }
    });
  }
  child.on('error', ({ message }) => words.push(message)); // one that cannot be started has ended at once, too
  // However this process ends, workerd does not go on without it and keep the port.
  const end = () => child.kill('SIGTERM');
  process.once('exit', end);
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('close', (code, signal) => {
      process.removeListener('exit', end);
      resolve(signal ?? code ?? 1);
    }),
  );
  const stop = async () => {
    clearInterval(schedule);
    end();
    // What it has acknowledged is on disk.
    const late = setTimeout(() => child.kill('SIGKILL'), DRAIN_MS);
    await ended;
    clearTimeout(late);
  };
  const schedule = setInterval(
    () => client('POST', '/v1/reconcile').catch((error: Error) => onLine(`reconciliation: ${error.message}`)),
    RECONCILE_MS,
  );
  try {
    await untilReady(url, child, words);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, pid: child.pid!, ended, stop };
}

interface CommandOptions {
  host: string;
  port: number;
  backend: string;
  data: string;
  student?: string;
}

if (import.meta.main) {
  const program = new Command('npm run edge:serve --')
    .description('Run the edge under workerd, without Cloudflare; see docs/deploy.md.')
    .option('--host <address>', 'interface to listen on', '127.0.0.1')
    .option('--port <number>', 'port to listen on', Number, 8787)
    .option('--backend <url>', 'base URL of the backend', ENVIRONMENT.backendUrl)
    .option('--data <dir>', 'folder for queue, KV and outbox', ENVIRONMENT.dataDir)
    .option(
      '--student <dir>',
      "folder of the backend's bundle: the Worker encodes queries itself; see docs/edge-student.md",
    )
    .allowExcessArguments(false)
    .parse();
  const { host, port, backend, data, student } = program.opts<CommandOptions>();
  if (!Number.isInteger(port) || port < 1 || port > 65_535) program.error('--port: expected a port from 1 to 65535.');
  if (student !== undefined && !existsSync(join(student, 'manifest.json')))
    program.error(`--student: expected the folder of a bundle, found no manifest.json in ${student}.`);
  let edge: ServedEdge | undefined;
  let isStopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      isStopping = true;
      if (edge === undefined) process.exit(0); // whatever has been started of it ends with this process
      void edge.stop();
    });
  try {
    serviceUrl('--backend', backend);
    edge = await serveEdge({
      host,
      port,
      backendUrl: backend,
      keys: readKeys(data),
      dataDir: join(data, 'edge'),
      studentDir: student,
      onLine: console.error,
    });
    console.error(`The edge answers at ${edge.url}.`);
    const how = await edge.ended;
    if (isStopping) process.exit(0);
    console.error(`workerd ended (${how}), and nobody had asked it to.`);
    process.exit(1);
  } catch (error) {
    exitWith(error);
  }
}
