/** `workerd serve` as the measurements need it: a Worker of a few lines served by itself, and what a process costs. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundle } from '../../scripts/edge-build.ts';
import { isRemark, V8_FLAGS } from '../../scripts/edge-serve/config.ts';
import { workerdBinary } from '../../scripts/edge-serve.ts';

export interface Served {
  url: string;
  pid: number;
  stop(): Promise<void>;
}

/** CPU time that a process has used, user and system, in microseconds; Linux counts it in hundredths of a second. */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything; user and system time are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Resident memory in MB. */
export function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1_024;
}

/** Starts workerd on a configuration; the caller asks whether it is ready. */
export function runWorkerd(config: string, options: { url: string; env?: Record<string, string> }): Served {
  const child = spawn(workerdBinary(), ['serve', '--experimental', config], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  createInterface(child.stderr).on('line', (line) => isRemark(line) || console.error(line));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    url: options.url,
    pid: child.pid!,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Asks until something answers with 200; resolves with the milliseconds that it took. */
export async function untilAnswered(url: string): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return performance.now() - startedAt;
    await new Promise((next) => setTimeout(next, 1));
  }
}

/** A Worker under the flags of the edge, without bindings but for a queue where one is named: a Worker too, bound as `EVENTS`. */
export async function serveWorker(
  entry: string,
  { port, dir, queue }: { port: number; dir: string; queue?: string },
): Promise<Served> {
  mkdirSync(dir, { recursive: true });
  const made = async (name: string, from: string, more = '') => {
    writeFileSync(join(dir, `${name}.js`), await bundle(from));
    return `(name = "${name}", worker = (modules = [(name = "${name}.js", esModule = embed "${name}.js")], compatibilityDate = "2026-11-01"${more}))`;
  };
  const services = [
    await made('main', entry, queue === undefined ? '' : ', bindings = [(name = "EVENTS", queue = "queue")]'),
    ...(queue === undefined ? [] : [await made('queue', queue)]),
  ];
  writeFileSync(
    join(dir, 'config.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = ${JSON.stringify(V8_FLAGS)},
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
  services = [${services.join(', ')}]
);
`,
  );
  const served = runWorkerd(join(dir, 'config.capnp'), { url: `http://127.0.0.1:${port}` });
  await untilAnswered(served.url);
  return served;
}
