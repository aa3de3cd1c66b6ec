/** Whether the edge can listen where it is told to: looked at first, because workerd and Miniflare say it late, or not to whoever asked. */
import { createServer } from 'node:net';
import { HarnessError } from '../shared/problem.ts';

/** Throws `configuration` that names the port unless it can be listened on. */
export async function requireFreePort(host: string, port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${cause.code})`;
      const message = `Port ${port} of ${host} ${why}: stop that program, or give the edge another port with --port.`;
      reject(new HarnessError('configuration', message, { cause }));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}
