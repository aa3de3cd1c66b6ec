import { afterEach, expect, test } from 'vitest';
import { type HttpServer, listen } from '../../../gpu-backend/http/server.ts';

const open: HttpServer[] = [];
afterEach(() => Promise.all(open.splice(0).map((server) => server.close(0))));
async function server(options = { host: '127.0.0.1', port: 0 }): Promise<HttpServer> {
  const one = await listen(options);
  open.push(one);
  return one;
}

test('is alive and not ready until there is something to serve', async () => {
  const { url, serve } = await server();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const early = await fetch(`${url}/v1/config`);
  expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1']);
  serve({ fetch: () => new Response('served') });
  expect(await (await fetch(`${url}/v1/config`)).text()).toBe('served');
});

test('refuses a taken port and a foreign address in one line', async () => {
  const { url } = await server();
  const port = Number(new URL(url).port);
  await expect(listen({ host: '127.0.0.1', port })).rejects.toMatchObject({
    code: 'configuration',
    message: `Port ${port} is taken on 127.0.0.1: stop the program that has it, or set PORT to another one.`,
  });
  await expect(listen({ host: '192.0.2.1', port: 0 })).rejects.toMatchObject({
    message: 'HOST: expected an address of this machine, got 192.0.2.1.',
  });
});

test('lets a running request finish, and cuts one that takes longer than the grace', async () => {
  const first = await server();
  const running = Promise.withResolvers<Response>();
  const arrived = Promise.withResolvers<void>();
  first.serve({
    fetch() {
      arrived.resolve();
      return running.promise;
    },
  });
  const answer = fetch(first.url);
  await arrived.promise;
  const closed = first.close(60_000);
  running.resolve(new Response('finished'));
  expect(await (await answer).text()).toBe('finished');
  await closed;

  const second = await server();
  const taken = Promise.withResolvers<void>();
  second.serve({
    fetch() {
      taken.resolve();
      return new Promise<Response>(() => {});
    },
  });
  const hanging = expect(fetch(second.url)).rejects.toThrow();
  await taken.promise;
  await second.close(1);
  await hanging;
});
