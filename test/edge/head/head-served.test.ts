/** The head under plain `workerd serve`: what KV holds on disk answers while no backend does, also after a restart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { serveEdge } from '../../../scripts/edge-serve.ts';
import { AdsResponse } from '../../../shared/contract/query-route.ts';
import { freePort } from '../../setup/free-port.ts';
import { type Behaviour, HEAD, TEST_KEYS } from '../stand-in.ts';
import { startStandIn } from '../stand-in-server.ts';

it('answers with ads of the head while the backend is away, and after a restart', async () => {
  const standIn = await startStandIn();
  const dataDir = await mkdtemp(join(tmpdir(), 'harness-head-'));
  const backendUrl = `${standIn.url}/head`;
  const behave = (behaviour: Partial<Behaviour>) =>
    fetch(backendUrl, { method: 'POST', body: JSON.stringify(behaviour) });
  const start = async () =>
    serveEdge({
      host: '127.0.0.1',
      port: await freePort(),
      backendUrl,
      keys: TEST_KEYS,
      dataDir,
      onLine: () => undefined,
    });
  let asked = 0;
  // Another text each time: nothing of it can be cached.
  const ask = async (url: string) =>
    AdsResponse.parse(await (await fetch(`${url}/v1/ads?q=trainers+no${++asked}`)).json());
  try {
    await behave({ head: { ...HEAD, atMs: Date.now() } });
    const first = await start();
    try {
      // The list is asked for behind a request that knows of a generation; then it is on its way to the disk.
      await vi.waitFor(
        async () => {
          await behave({ retrieve: 'ok' });
          expect((await ask(first.url)).generation).toBe(7);
          await behave({ retrieve: 'drop' });
          expect((await ask(first.url)).rung).toBe('head');
        },
        { timeout: 90_000, interval: 250 },
      );
    } finally {
      await first.stop();
    }
    await behave({ config: 'fail', killList: 'fail' });
    const second = await start();
    try {
      // Its disk may take longer on a busy machine than one answer waits.
      await vi.waitFor(
        async () => {
          const answer = await ask(second.url);
          expect(answer).toMatchObject({ rung: 'head', generation: 7, assignments: [] });
          expect(answer.slots).toHaveLength(4);
        },
        { timeout: 60_000, interval: 250 },
      );
    } finally {
      await second.stop();
    }
  } finally {
    await standIn.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}, 300_000);
