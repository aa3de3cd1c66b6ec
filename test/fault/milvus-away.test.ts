/** A backend whose index is in Milvus: built, served, rolled back and collected there, and answering when Milvus has died. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { call, loadTestMarket, makeFolders, retrieval, start, TEST_ADS } from '../setup/backend.ts';
import { startMilvus } from '../setup/milvus-server.ts';

const AD = TEST_ADS[0]!;
const server = await startMilvus();

if ('missing' in server) {
  console.info(`A backend on Milvus is not tested: ${server.missing}`);
  describe.skip(`a backend on Milvus (${server.missing})`, () => test('is tested elsewhere', () => {}));
} else {
  const prefix = `away_${process.pid}`;
  const asked = async <T>(ask: (client: MilvusClient) => Promise<T>): Promise<T> => {
    const client = new MilvusClient({ address: server.address, telemetry: { enabled: false }, logLevel: 'error' });
    return ask(client).finally(() => client.closeConnection());
  };
  const collections = async () => {
    const { data } = await asked((client) => client.showCollections());
    return data
      .map(({ name }) => name)
      .filter((name) => name.startsWith(prefix))
      .sort();
  };

  /** Of the two markets that the test's ads are booked in. */
  const of = (...numbers: number[]) =>
    numbers.flatMap((number) => [`${prefix}_${number}_gb`, `${prefix}_${number}_us`]);

  test('a backend on Milvus serves as one without, and goes on when Milvus has died', {
    timeout: 600_000,
  }, async () => {
    onTestFinished(() => server.stop());
    const folders = await makeFolders();
    onTestFinished(() => folders.remove());
    const settings = {
      HARNESS_MILVUS: server.address,
      HARNESS_MILVUS_PREFIX: prefix,
      HARNESS_MILVUS_DEADLINE_MS: '10000',
    };
    let backend = await start(folders, settings);
    onTestFinished(() => backend.stop());
    const ids = async () => {
      const plan = { retrievers: ['dense' as const], k: 20, minRelevance: 0 };
      const { status, body } = await call<{ candidates: { adId: string }[] }>(backend.url, 'POST /v1/retrieve', {
        body: retrieval(AD.title, { plan }),
      });
      expect(status).toBe(200);
      return body.candidates.map(({ adId }) => adId);
    };
    const publish = async (body: object) => {
      const { status } = await call(backend.url, 'POST /v1/generations', { body });
      expect(status).toBe(201);
    };
    const scans = async () => {
      const { body } = await call<string>(backend.url, 'GET /metrics');
      return [...body.matchAll(/^harness_milvus_(\w+)_total (\d+)$/gm)].map(([, to, count]) => [to, Number(count)]);
    };
    const nothing = [
      ['scan', 0],
      ['refused', 0],
      ['left', 0],
    ];

    await loadTestMarket(backend.url);
    expect(await collections()).toEqual(of(1));
    const found = await ids();
    expect(found).toContain(AD.id);
    expect(await scans()).toEqual(nothing);

    await call(backend.url, `PATCH /v1/ads/${AD.id}`, { body: { status: 'paused' } });
    expect(await ids()).not.toContain(AD.id);
    await call(backend.url, `PATCH /v1/ads/${AD.id}`, { body: { status: 'active' } });
    expect(await ids()).toEqual(found);

    // A rollback shares the collection; what no generation names any more is removed.
    await publish({ action: 'rollback', to: 1 });
    expect(await collections()).toEqual(of(1));
    for (let i = 0; i < 3; i++) await publish({ action: 'build' });
    expect(await collections()).toEqual(of(3, 4, 5));
    expect(await ids()).toEqual(found);

    await backend.stop();
    const [left] = of(9); // by a build that was killed
    const fields = [
      { name: 'row', data_type: DataType.Int64, is_primary_key: true },
      { name: 'vector', data_type: DataType.FloatVector, dim: 4 },
    ];
    await asked((client) => client.createCollection({ collection_name: left!, fields }));
    expect(await collections()).toContain(left);
    writeFileSync(join(folders.data, 'generations', 'building-9.collections'), JSON.stringify([left]));
    backend = await start(folders, settings);
    expect(await collections()).toEqual(of(3, 4, 5));
    expect(await ids()).toEqual(found);
    expect(await scans()).toEqual(nothing);
    await server.stop();
    if (process.env.HARNESS_MILVUS_ADDRESS) return; // somebody else's server is not ours to end
    expect(await ids()).toEqual(found);
    expect(Object.fromEntries(await scans())).toMatchObject({ scan: 1, refused: 0 });
    await backend.stop();

    const without = await start(folders);
    onTestFinished(() => without.stop());
    expect((await call(without.url, 'POST /v1/retrieve', { body: retrieval(AD.title) })).status).toBe(503);
  });
}
