import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type HttpServer, listen } from '../../../gpu-backend/http/server.ts';
import { hasIpv6 } from '../../setup/ipv6.ts';

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

test.skipIf(!hasIpv6)('on an IPv6 address, its URL has it in brackets', async () => {
  const { url } = await server({ host: '::1', port: 0 });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
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

test('keeps an idle connection for longer than proxies in front of it do', async () => {
  const { url } = await server();
  const { headers } = await fetch(url);
  expect(headers.get('keep-alive')).toBe('timeout=620');
});

/** A connection that is kept alive: what is written there, and what comes back. */
async function keptAlive({ url }: HttpServer) {
  const socket = connect(Number(new URL(url).port));
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  let heard = '';
  socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
  return {
    ended,
    ask: () => socket.write('GET / HTTP/1.1\r\nhost: backend\r\n\r\n'),
    heard: (text: string) =>
      new Promise<string>((resolve) => {
        const look = () => heard.includes(text) && resolve(heard);
        socket.on('data', look);
        look();
      }),
  };
}

test('ends in time with idle connections open, and tells those in use to come back on another one', async () => {
  const one = await server();
  let [arrived, answer] = [Promise.withResolvers<void>(), Promise.resolve('first')];
  one.serve({
    async fetch() {
      arrived.resolve();
      return new Response(await answer);
    },
  });
  const [unused, idle, busy] = [await keptAlive(one), await keptAlive(one), await keptAlive(one)];
  for (const connection of [idle, busy]) {
    connection.ask();
    expect(await connection.heard('first')).toContain('Connection: keep-alive');
  }
  const second = Promise.withResolvers<string>();
  [arrived, answer] = [Promise.withResolvers<void>(), second.promise];
  busy.ask();
  await arrived.promise;
  const closed = one.close(60_000);
  await Promise.all([unused.ended, idle.ended]);
  second.resolve('second');
  expect(await busy.heard('second')).toContain('Connection: close');
  await busy.ended;
  await closed;
});
