/** A way to a server that falls silent: what is sent over it, either way, goes nowhere, and nobody is told. */
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as openSocket, type Socket } from 'node:net';

/** Carries what either sends to the other, until one of them ends. */
export function join(near: Socket, far: Socket): void {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const)
    from
      .on('error', () => to.destroy())
      .on('close', () => to.destroy())
      .pipe(to);
}

export interface MutableProxy {
  /** The URL given, by way of the proxy. */
  url: string;
  /** Every connection, and each that comes, falls silent. */
  mute(): void;
  /** Connections that come from now on carry; those that had fallen silent stay so. */
  unmute(): void;
  close(): void;
}

export async function mutableProxy(to: string): Promise<MutableProxy> {
  const url = new URL(to);
  const port = Number(url.port);
  const sockets = new Set<Socket>();
  let muted = false;
  const proxy = createServer((near) => {
    sockets.add(near);
    near.on('error', () => near.destroy());
    if (muted) return;
    const far = openSocket(port, url.hostname);
    sockets.add(far);
    join(near, far);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  url.port = String((proxy.address() as AddressInfo).port);
  return {
    url: url.href,
    mute() {
      muted = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    unmute() {
      muted = false;
    },
    close() {
      proxy.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
