/** The listening socket: taken before anything slow, so that a taken port is told at once; drained in bounded time. */
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { HarnessError, problemResponse } from '../../shared/problem.ts';

export interface HttpServer {
  /** Where it listens. */
  readonly url: string;
  /** From now on requests go here; until then they are answered `not_ready`, and `/healthz` with `ok`. */
  serve(app: { fetch: (request: Request) => Response | Promise<Response> }): void;
  /** Takes no new connection, lets running requests finish for at most `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
}

function starting(request: Request): Response {
  if (new URL(request.url).pathname === '/healthz') return Response.json({ status: 'degraded', version: 'starting' });
  return problemResponse(new HarnessError('not_ready', 'The backend is starting.', { retryAfterSeconds: 1 }));
}

/** Throws `configuration` in one line when the address cannot be had. */
export async function listen({ host, port }: { host: string; port: number }): Promise<HttpServer> {
  let fetch: (request: Request) => Response | Promise<Response> = starting;
  const server: Server = createServer(getRequestListener((request) => fetch(request)));
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
    url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}`,
    serve(app) {
      fetch = (request) => app.fetch(request);
    },
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // A connection that was busy a moment ago is kept alive by its client: let go of it as soon as it is idle.
      const idle = setInterval(() => server.closeIdleConnections(), 10);
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearInterval(idle);
      clearTimeout(cut);
    },
  };
}
