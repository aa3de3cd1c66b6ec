/**
 * A Milvus for tests: the one at HARNESS_MILVUS_ADDRESS, or milvus-lite, which speaks the same API, in a virtual environment
 * under .cache/. It is used where it is; only HARNESS_MILVUS_LITE=install puts it there, once, because that takes minutes.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from './free-port.ts';

export interface MilvusServer {
  address: string;
  /** Ends it at once, as a machine that fails does. */
  stop(): Promise<void>;
}

const ENVIRONMENT = resolve('.cache/milvus-lite');
const SERVER = join(ENVIRONMENT, 'bin', 'milvus-lite');

function install(): void {
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: 'inherit' });
  run('python3', '-m', 'venv', ENVIRONMENT);
  // its server needs pymilvus, which it does not name as a dependency
  run(join(ENVIRONMENT, 'bin', 'pip'), 'install', '--quiet', 'milvus-lite==3.2.2', 'pymilvus', 'setuptools');
}

/** A server, or why there is none. */
export async function startMilvus(): Promise<MilvusServer | { missing: string }> {
  const address = process.env.HARNESS_MILVUS_ADDRESS;
  if (address !== undefined && address !== '') return { address, stop: async () => {} };
  if (!existsSync(SERVER) && process.env.HARNESS_MILVUS_LITE === 'install') install();
  if (!existsSync(SERVER))
    return {
      missing:
        'no Milvus here: set HARNESS_MILVUS_ADDRESS, or HARNESS_MILVUS_LITE=install to put milvus-lite in .cache/',
    };
  return startLite();
}

async function startLite(): Promise<MilvusServer> {
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), 'harness-milvus-'));
  const child = spawn(SERVER, ['server', '--data-dir', data, '--host', '127.0.0.1', '--port', String(port)], {
    env: { ...process.env, PYTHONUNBUFFERED: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const atExit = () => child.kill('SIGKILL');
  process.once('exit', atExit);
  let heard = '';
  await new Promise<void>((ready, failed) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        heard += chunk;
        if (heard.includes('server listening')) ready();
      });
    child.once('error', failed);
    child.once('exit', (code) => failed(new Error(`milvus-lite ended with ${code}: ${heard}`)));
  });
  return {
    address: `127.0.0.1:${port}`,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      }
      process.off('exit', atExit);
      rmSync(data, { recursive: true, force: true });
    },
  };
}
