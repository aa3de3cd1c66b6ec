/**
 * Whether the edge can listen where it is told to: checked first, because workerd and Miniflare report it late, or not
 * to their caller.
 */
import { createServer } from 'node:net';
import { HarnessError } from '../shared/problem.ts';

/** Throws `configuration` that names the port unless it can be listened on. */
export async function requireFreePort(host: string, port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === 'EADDRINUSE'
          ? 'is taken by another program: stop that program, or give the edge another port with --port.'
          : `cannot be listened on (${cause.code}): expected an address of this machine, and a port that its user may open.`;
      reject(new HarnessError('configuration', `Port ${port} of ${host} ${why}`, { cause }));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
