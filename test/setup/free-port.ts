/**
 * TCP ports for what must know its port before it listens. They lie below those that a system deals by itself (from 32768 on Linux, from
 * 49152 elsewhere: RFC 6335), and each process has some of its own, so that nobody takes one between the asking and the listening.
 */
import { createServer } from 'node:net';
import { threadId } from 'node:worker_threads';

/** From above the last port that `fetch` refuses (10080). */
const [FIRST, COUNT] = [11_000, 21_000];
const OF_A_PROCESS = 32;
let next = (process.pid + threadId) * OF_A_PROCESS;

/** A port of 127.0.0.1 that nothing listens on, another one at each call. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + (next++ % COUNT);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    );
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
