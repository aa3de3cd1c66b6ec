/** The local runner: the Worker's own bundle in workerd, with Miniflare's Queue and Cache API, over real sockets. */
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningEdge, startEdge } from '../../scripts/edge-local.ts';
import { AdsResponse } from '../../shared/contract/ads.ts';
import { freePort } from './free-port.ts';
import { type Behaviour, TEST_KEYS, type Told } from './stand-in.ts';
import { startStandIn } from './stand-in-server.ts';

let standIn: Awaited<ReturnType<typeof startStandIn>>;
beforeAll(async () => {
  standIn = await startStandIn();
});
afterAll(() => standIn.close());

const room = (name: string) => ({
  url: `${standIn.url}/${name}`,
  behave: (behaviour: Partial<Behaviour>) =>
    fetch(`${standIn.url}/${name}`, { method: 'POST', body: JSON.stringify(behaviour) }),
  told: async () => (await (await fetch(`${standIn.url}/${name}`)).json()) as Told,
});

async function ads(edge: RunningEdge, query: string): Promise<AdsResponse> {
  const response = await fetch(`${edge.url}/v1/ads?q=${query}`);
  expect(response.status).toBe(200);
  return AdsResponse.parse(await response.json());
}

describe('startEdge', () => {
  it('serves, and delivers every event through an outage of the backend before it stops', async () => {
    const backend = room('outage');
    const edge = await startEdge({ port: await freePort(), backendUrl: backend.url, keys: TEST_KEYS });
    const issued: string[] = [];
    try {
      const first = await ads(edge, 'sofa');
      expect(first.slots).toHaveLength(4);
      expect(first.slots[0]!.clickUrl).toContain(`${edge.url}/v1/click/`);
      const click = await fetch(first.slots[0]!.clickUrl, { redirect: 'manual' });
      expect(click.status).toBe(302);
      issued.push(first.requestId, `${first.requestId}:1`);

      await backend.behave({ events: 'fail', retrieve: 'drop' });
      const answers = await Promise.all(Array.from({ length: 150 }, (_, i) => ads(edge, `q-${i}`)));
      issued.push(...answers.map(({ requestId }) => requestId));
      expect(new Set(answers.map(({ degraded }) => degraded?.rung))).toEqual(new Set(['empty']));
      // Until the consumer has met the outage.
      while ((await backend.told()).batches.length === 0);
      await backend.behave({ events: 'ok', retrieve: 'ok' });
    } finally {
      expect(await edge.stop(20_000)).toEqual({ undelivered: 0 });
    }
    const { batches, unsigned } = await backend.told();
    const delivered = new Set(batches.flat().map(({ id }) => id));
    expect(issued.filter((id) => !delivered.has(id))).toEqual([]);
    expect(delivered.size).toBe(issued.length);
    expect(unsigned).toBe(0);
  }, 60_000);

  it('says which port is taken and what to do', async () => {
    const server = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    await expect(startEdge({ port, backendUrl: standIn.url, keys: TEST_KEYS })).rejects.toThrow(
      new RegExp(`^Port ${port} .* is taken by another program: .*--port\\.$`),
    );
    await new Promise((resolve) => server.close(resolve));
  });

  it('names a wrong setting and leaves nothing behind', async () => {
    const port = await freePort();
    const wrong = startEdge({ port, backendUrl: 'backend.example', keys: TEST_KEYS });
    await expect(wrong).rejects.toThrow(/^The edge cannot start: BACKEND_URL: /);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    await new Promise((resolve) => server.close(resolve));
  }, 60_000);
});
