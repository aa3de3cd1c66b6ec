/** The listening socket: taken before anything slow, so that a taken port is reported at once; drained in bounded time. */
import { createServer, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import { HarnessError, problemResponse } from '../../shared/problem.ts';
import { authority } from './authority.ts';

export interface HttpServer {
  /** Where it listens. */
  readonly url: string;
  /** From now on requests go here; until then they are answered `not_ready`, and `/healthz` with `ok`. */
  serve(app: { fetch: (request: Request) => Response | Promise<Response> }): void;
  /**
   * Tells clients to come back on another connection, takes none any more, lets running requests finish, and cuts what takes
   * longer than `graceMs` in all. Resolves as soon as nothing runs.
   */
  close(graceMs: number): Promise<void>;
}

/**
 * How long an idle connection is kept. The side that is about to ask has to be the one that gives it up, or a request meets a
 * connection that is just being closed, and a reset. So this is more than any client waits: proxies and load balancers in front
 * of a backend 60 to 600 s, Workers and undici less. Node's `headersTimeout` (60 s) begins with a request's first byte.
 */
const IDLE_MS = 620_000;

/** How long before idle connections are closed clients are told so: one that is in use has its next answer by then. */
const TELL_MS = 100;

function starting(request: Request): Response {
  if (new URL(request.url).pathname === '/healthz') return Response.json({ status: 'degraded', version: 'starting' });
  return problemResponse(new HarnessError('not_ready', 'The backend is starting.', { retryAfterSeconds: 1 }));
}

/** Throws `configuration` in one line when the address cannot be had. */
export async function listen({ host, port }: { host: string; port: number }): Promise<HttpServer> {
  let fetch: (request: Request) => Response | Promise<Response> = starting;
  let draining = false;
  class Answer extends ServerResponse {
    override writeHead(...head: unknown[]): this {
      if (draining) this.shouldKeepAlive = false;
      return super.writeHead(...(head as Parameters<ServerResponse['writeHead']>));
    }
  }
  const server = createServer(
    { keepAliveTimeout: IDLE_MS, ServerResponse: Answer },
    getRequestListener((request) => fetch(request)),
  );
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const message: Record<string, string> = {
        EADDRINUSE: `Port ${port} is taken on ${host}: stop the program that has it, or set PORT to another one.`,
        EACCES: `Port ${port} may not be opened by this user: set PORT to one above 1023.`,
        EADDRNOTAVAIL: `HOST: expected an address of this machine, got ${host}.`,
        ENOTFOUND: `HOST: expected an address of this machine, got ${host}.`,
      };
      reject(
        new HarnessError(
          'configuration',
          message[cause.code ?? ''] ?? `Cannot listen on ${host}:${port}: ${cause.message}`,
          { cause },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://${authority(host, actual)}`,
    serve(app) {
      fetch = (request) => app.fetch(request);
    },
    async close(graceMs) {
      draining = true;
      const tellMs = Math.min(TELL_MS, graceMs);
      await pause(tellMs);
      const cut = setTimeout(() => server.closeAllConnections(), graceMs - tellMs);
      const closed = new Promise<void>((resolve) => server.close(() => resolve())); // closes those that are idle at once
      // Node does not count those as idle that were opened ahead, as browsers and balancers do, and never asked anything.
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
      await closed;
      clearTimeout(cut);
    },
  };
}
