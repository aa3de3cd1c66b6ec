/**
 * The embedded database in a thread of its own: PGlite computes on the calling thread, and a batch of events would hold
 * up every query of the service for as long as it takes to store. The thread speaks Postgres' wire protocol over its
 * message port, so that one driver (postgres.js) serves the embedded database and a real server alike.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import type { FromWorker, ToWorker } from './pglite.ts';

/** PGlite's own, and less memory than the 128 MB it takes: the operating system caches the files as well. */
const START = [...PGlite.defaultStartParams, '-c', 'shared_buffers=16MB'];

const port = parentPort!;
const say = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

/** Cuts a stream of chunks into runs of whole messages: type byte (none on the first, the start-up message), u32 length. */
function framer(): (chunk: Uint8Array) => Uint8Array | undefined {
  let pending = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    let end = 0;
    for (;;) {
      const lengthAt = end + (started ? 1 : 0);
      if (pending.length < lengthAt + 4) break;
      const next = lengthAt + pending.readUInt32BE(lengthAt);
      if (pending.length < next) break;
      end = next;
      started = true;
    }
    const whole = pending.subarray(0, end);
    pending = pending.subarray(end);
    return end === 0 ? undefined : whole;
  };
}

try {
  const database = await PGlite.create((workerData as { dir: string }).dir, { startParams: START });
  let frame = framer();
  port.on('message', (message: ToWorker) => {
    if (message.type === 'connect') frame = framer();
    if (message.type === 'data') {
      const whole = frame(message.bytes);
      if (whole === undefined) return;
      const answer = database.execProtocolRawSync(whole);
      say({ type: 'data', bytes: answer }, [answer.buffer as ArrayBuffer]);
    }
    if (message.type === 'close') void database.close().then(() => say({ type: 'closed' }));
  });
  say({ type: 'ready' });
} catch (error) {
  say({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });
}
