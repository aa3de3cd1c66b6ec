/**
 * The near side of pglite-worker.ts: starts the thread and offers sockets into it, one session at a time as PGlite has. A
 * thread that died is replaced when the driver connects again; the database recovers from its log, as after a crash.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import v8 from 'node:v8';
import { Worker } from 'node:worker_threads';

export type ToWorker = { type: 'connect' } | { type: 'data'; bytes: Uint8Array } | { type: 'close' };
export type FromWorker =
  | { type: 'ready' }
  | { type: 'failed'; reason: string }
  | { type: 'data'; bytes: Uint8Array }
  | { type: 'closed' };

/**
 * Keeps V8 from optimising PGlite's code: the optimiser needs 350 MB for its largest functions and gives 20 % of speed.
 * It must be told before the first thread, holds for the whole process (which has no other WebAssembly to speak of),
 * and takes all three flags, because what one implies is worked out only when V8 starts.
 */
const MODEST = ['--liftoff-only', '--no-wasm-tier-up', '--no-wasm-dynamic-tiering'];

export interface EmbeddedDatabase {
  /** A connection of the wire protocol; opening one drops the one before. */
  socket(): Promise<Duplex>;
  /** Shuts the database down cleanly and ends the thread. */
  close(): Promise<void>;
}

interface Thread {
  worker: Worker;
  isAlive(): boolean;
}

async function startThread(dir: string): Promise<Thread> {
  const worker = new Worker(new URL('./pglite-worker.ts', import.meta.url), {
    workerData: { dir },
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: 8 }, // its work is in WebAssembly memory; V8 would take 100 MB
  });
  let alive = true;
  worker.on('exit', () => {
    alive = false;
  });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject); // later ones end the thread, and the exit tells
      worker.once('exit', (code) => reject(new Error(`the database thread ended with exit code ${code}`)));
      worker.once('message', (message: FromWorker) =>
        message.type === 'failed' ? reject(new Error(message.reason)) : resolve(),
      );
    });
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  return { worker, isAlive: () => alive };
}

/** Shuts the database down cleanly and ends its thread. */
async function stopThread({ worker, isAlive }: Thread): Promise<void> {
  if (!isAlive()) return;
  const closed = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve());
    worker.on('message', (message: FromWorker) => message.type === 'closed' && resolve());
  });
  worker.postMessage({ type: 'close' } satisfies ToWorker);
  await closed;
  await worker.terminate();
}

/** A connection to the thread, until the thread ends or the next connection is opened. */
function connectTo({ worker }: Thread): Duplex {
  const tell = (message: ToWorker) => worker.postMessage(message);
  tell({ type: 'connect' });
  const socket = new Duplex({
    read() {},
    write(bytes: Uint8Array, _encoding, done) {
      tell({ type: 'data', bytes });
      done();
    },
    final(done) {
      this.push(null);
      done();
    },
    destroy(error, done) {
      worker.off('message', hear);
      worker.off('exit', lose);
      done(error);
    },
  });
  const hear = (message: FromWorker) => message.type === 'data' && socket.push(message.bytes);
  const lose = (code: number) => socket.destroy(new Error(`the database thread ended with exit code ${code}`));
  worker.on('message', hear);
  worker.once('exit', lose);
  // postgres.js asks a socket for its state, as node:net has it.
  return Object.assign(socket, { readyState: 'open' });
}

/** Opens or creates the database in a folder; throws what PGlite says when it cannot. `onRestart` hears of replaced threads. */
export async function startPglite(dir: string, onRestart: () => void): Promise<EmbeddedDatabase> {
  for (const flag of MODEST) v8.setFlagsFromString(flag);
  // Creating a database takes some 200 MB that only the end of the thread gives back.
  if (!existsSync(join(dir, 'PG_VERSION'))) await stopThread(await startThread(dir));
  let thread = await startThread(dir);
  let current: Duplex | undefined;
  return {
    async socket() {
      current?.destroy();
      if (!thread.isAlive()) {
        thread = await startThread(dir);
        onRestart();
      }
      current = connectTo(thread);
      return current;
    },
    close: () => stopThread(thread),
  };
}
