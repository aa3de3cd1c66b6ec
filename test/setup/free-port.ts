/**
 * TCP ports for what must know its port before it listens. They lie below those that a system deals by itself (from 32768 on Linux, from
 * 49152 elsewhere: RFC 6335), and each process has some of its own, so that nobody takes one between the asking and the listening.
 */
import { createServer, type Server } from 'node:net';

/** From above the last port that `fetch` refuses (10080). */
const FIRST = 11_000;
const [BLOCKS, OF_A_BLOCK] = [656, 32];

/** Ports of this process that it has not dealt yet. */
let block: Promise<number[]> | undefined;

/** A port of 127.0.0.1 that nothing listens on, another one at each call. */
export async function freePort(): Promise<number> {
  for (;;) {
    block ??= takeBlock();
    const mine = block;
    const port = (await mine).shift();
    if (port === undefined) {
      if (block === mine) block = undefined;
      continue;
    }
    const server = await listenOn(port);
    if (server === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Ports that no other process has: as long as this one lives, it listens on the first port of the block, and that keeps others out. */
async function takeBlock(): Promise<number[]> {
  for (let i = 0; i < BLOCKS; i++) {
    const first = FIRST + ((process.pid + i) % BLOCKS) * OF_A_BLOCK;
    const guard = await listenOn(first);
    if (guard === undefined) continue;
    guard.unref();
    return Array.from({ length: OF_A_BLOCK - 1 }, (_, at) => first + 1 + at);
  }
  throw new Error(`expected a free port of every ${OF_A_BLOCK}th from ${FIRST}, found none in ${BLOCKS}`);
}

/** `undefined` where something listens already. */
function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
