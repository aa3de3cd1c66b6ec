/** A call of the backend; what its answers lead to is in the tests of the ladder and of delivery. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { Backend } from '../../edge/backend.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

const event: HarnessEvent = { type: 'conversion', id: 'event-001', atMs: 1, clickId: 'impression:1', valueMicros: 1 };

/** The origin of a server that answers so until the test ends. */
async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('asks for the kill list by the version it has, and takes none for the same', async () => {
  const asked: string[] = [];
  const list = { version: 4, generation: 7, since: 6, running: ['test'] };
  const backend = new Backend({
    baseUrl: 'http://backend.example',
    keys: [{ id: 'k1', secret: '0123456789abcdef' }],
    fetch: async (url) => {
      const { pathname, search } = new URL(url);
      asked.push(pathname + search);
      return Response.json(search === '?have=4' ? list : { ...list, adIds: ['a'] });
    },
    now: Date.now,
    newNonce: () => crypto.randomUUID(),
    onNews: () => undefined,
  });
  for (const have of [0, 3]) expect(await backend.killList(have, 60_000)).toEqual({ ...list, adIds: ['a'] });
  expect(await backend.killList(4, 60_000)).toBeUndefined();
  expect(asked).toEqual(['/v1/kill-list', '/v1/kill-list?have=3', '/v1/kill-list?have=4']);
});

it('hands neither events nor its signature on to where an answer redirects', async () => {
  const told: string[] = [];
  const elsewhere = await serve((request, response) => {
    told.push(request.url!);
    response.end('{"stored":1,"duplicates":0,"rejected":[]}');
  });
  const baseUrl = await serve((request, response) => {
    response.writeHead(307, { location: elsewhere + request.url }).end();
  });
  const backend = new Backend({
    baseUrl,
    keys: [{ id: 'k1', secret: '0123456789abcdef' }],
    fetch,
    now: Date.now,
    newNonce: () => crypto.randomUUID(),
    onNews: () => undefined,
  });
  await expect(backend.storeEvents([event], 60_000)).rejects.toMatchObject({
    code: 'backend_unavailable',
    message: '/v1/events: status 307.',
  });
  expect(told).toEqual([]);
});
