/** The near side of pglite-worker.ts: starts the thread and offers sockets into it. One session at a time, as PGlite has. */
import { Duplex } from 'node:stream';
import { Worker } from 'node:worker_threads';

export type ToWorker = { type: 'connect' } | { type: 'data'; bytes: Uint8Array } | { type: 'close' };
export type FromWorker =
  | { type: 'ready' }
  | { type: 'failed'; reason: string }
  | { type: 'data'; bytes: Uint8Array }
  | { type: 'closed' };

export interface EmbeddedDatabase {
  /** A connection of the wire protocol; opening one drops the one before. */
  socket(): Duplex;
  /** Shuts the database down cleanly and ends the thread. */
  close(): Promise<void>;
}

/** Opens or creates the database in a folder; throws what PGlite says when it cannot. */
export async function startPglite(dir: string): Promise<EmbeddedDatabase> {
  const worker = new Worker(new URL('./pglite-worker.ts', import.meta.url), { workerData: { dir } });
  const tell = (message: ToWorker) => worker.postMessage(message);
  await new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (message: FromWorker) =>
      message.type === 'failed' ? reject(new Error(message.reason)) : resolve(),
    );
  }).catch(async (error) => {
    await worker.terminate();
    throw error;
  });

  let current: Duplex | undefined;
  worker.removeAllListeners('error');
  worker.on('error', (error) => current?.destroy(error as Error));
  worker.on('message', (message: FromWorker) => {
    if (message.type === 'data') current?.push(message.bytes);
  });

  return {
    socket() {
      current?.destroy();
      tell({ type: 'connect' });
      const socket = new Duplex({
        read() {},
        write(chunk: Uint8Array, _encoding, done) {
          tell({ type: 'data', bytes: chunk });
          done();
        },
        final(done) {
          this.push(null);
          done();
        },
      });
      current = socket;
      // postgres.js asks a socket for its state, as node:net has it.
      return Object.assign(socket, { readyState: 'open' });
    },
    async close() {
      const closed = new Promise<void>((resolve) => {
        worker.once('exit', () => resolve());
        worker.on('message', (message: FromWorker) => message.type === 'closed' && resolve());
      });
      tell({ type: 'close' });
      await closed;
      await worker.terminate();
    },
  };
}
