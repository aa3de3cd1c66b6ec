/** The model under a running service: ready when warm, exchanged without a failed request, refused in another space. */
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../../gpu-backend/main.ts';
import { EmbeddingsResponse } from '../../../shared/contract/embeddings.ts';
import { ModelState } from '../../../shared/contract/model.ts';
import {
  call,
  loadTestMarket,
  makeBundle,
  makeFolders,
  retrieval,
  start,
  type TestFolders,
} from '../../setup/backend.ts';
import { freePort } from '../../setup/free-port.ts';
import { sampleExperiment } from '../../setup/samples.ts';

let folders: TestFolders;
let backend: Backend;
let versions = 1;
const others = mkdtempSync(join(tmpdir(), 'harness-bundles-'));
beforeAll(async () => {
  folders = await makeFolders();
  const first = await start(folders);
  await loadTestMarket(first.url);
  await first.stop();
});
afterAll(async () => {
  await backend?.stop();
  folders?.remove();
  rmSync(others, { recursive: true });
});

const embed = async (input: string) => {
  const { status, body } = await call(backend.url, 'POST /v1/embeddings', { body: { input } });
  expect([status, body.code]).toEqual([200, undefined]);
  const { model, data } = EmbeddingsResponse.parse(body);
  return { model, vector: data[0]!.embedding };
};
const reload = () => call(backend.url, 'POST /v1/model', { body: { action: 'reload' } });
const metric = async (name: string) => {
  const { body } = await call<string>(backend.url, 'GET /metrics', { unsigned: true });
  return Number(new RegExp(`^harness_${name} (\\S+)$`, 'm').exec(body)![1]);
};
/** What the bundle's folder holds from now on, at once. */
const put = (dir: string) => {
  renameSync(folders.bundle, join(others, crypto.randomUUID()));
  cpSync(dir, folders.bundle, { recursive: true });
};

test('it is ready when a warm encoder and a generation serve, and not before', async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let up = false;
  const starting = start(folders, { PORT: String(port) }).then((started) => {
    up = true;
    backend = started;
  });
  const seen = new Set<number>();
  for (let ready = false; !ready; ) {
    const answer = await call(url, 'GET /readyz', { unsigned: true }).catch(() => undefined); // the port is not open yet
    if (answer !== undefined) seen.add(answer.status);
    ready = answer?.status === 200;
    if (ready) {
      // Whoever is told so is answered.
      const first = await call(url, 'POST /v1/retrieve', { body: retrieval('red sofa') });
      expect(first.status).toBe(200);
    } else if (!up) await Promise.race([starting, turn()]);
  }
  await starting;
  expect([...seen].filter((status) => status !== 503)).toEqual([200]);
});

test('the same bundle is not taken anew', async () => {
  const { status, body } = await reload();
  expect([status, ModelState.parse(body)]).toMatchObject([200, { model: 'tiny-1', changed: false }]);
});

test('another student of the space takes over under load: every request is answered, by the one or the other', async () => {
  const before = await embed('red sofa');
  await embed('red sofa');
  expect(await metric('encoder_hits_total')).toBeGreaterThan(0);
  const next = join(others, 'next');
  await makeBundle(next, { name: 'tiny-next', words: ['buy', 'a', 'here'] });
  put(next);

  let done = false;
  let searched = await metric('queries_student_total');
  const models: string[] = [];
  const load = Array.from({ length: 8 }, async (_, client) => {
    for (let i = 0; !done || models.at(-1) !== 'tiny-next'; i++) {
      const [embedded, retrieved] = await Promise.all([
        embed(`text ${i % 50} of ${client}`),
        call(backend.url, 'POST /v1/retrieve', { body: retrieval(`sofa ${i % 50} ${client}`) }),
      ]);
      expect([retrieved.status, retrieved.body.encodedBy]).toEqual([200, 'student']);
      searched++;
      models.push(embedded.model);
    }
  });
  const reloading = reload().finally(() => {
    done = true;
  });
  const [answer] = await Promise.all([reloading, ...load]);
  expect(ModelState.parse(answer.body)).toMatchObject({ model: 'tiny-next', changed: true });
  expect(new Set(models)).toEqual(new Set(['tiny-1', 'tiny-next']));
  expect(await metric('queries_student_total')).toBe(searched);

  // Nothing of the one before is remembered: its vector of the same text was another.
  const after = await embed('red sofa');
  expect(after.model).toBe('tiny-next');
  expect(after.vector).not.toEqual(before.vector);
  const health = await call(backend.url, 'GET /healthz', { unsigned: true });
  expect(health.body).toMatchObject({ model: 'tiny-next', device: { provider: 'cpu', precision: 'fp32' } });
});

test.each([
  ['names the model served', { model: 'tiny-next' }],
  ['asks for its cosine adapter', { adapterCutOff: 0.1 }],
])('a bundle is refused while a plan that could no longer be answered %s', async (_what, parameters) => {
  const adapted = join(others, crypto.randomUUID());
  await makeBundle(adapted, { name: 'tiny-next' });
  const path = join(adapted, 'manifest.json');
  const cosineAdapter = { cosine: 1, bestCosine: 0, meanCosine: 0, words: 0, intercept: 0 };
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), cosineAdapter }));
  put(adapted);
  expect((await reload()).status).toBe(200);

  const experiment = sampleExperiment();
  const [control, ...rest] = experiment.arms;
  const run = (status: string, arms: object[], version: number) =>
    call(backend.url, `PUT /v1/experiments/${experiment.key}`, { body: { ...experiment, status, arms, version } });
  versions++;
  expect((await run('running', [{ ...control, parameters }, ...rest], versions)).status).toBe(200);
  const plain = join(others, crypto.randomUUID());
  await makeBundle(plain, { name: 'tiny-plain' });
  put(plain);
  const { status, body } = await reload();
  expect([status, body.code]).toEqual([409, 'model_mismatch']);
  expect(body.detail).toMatch(/^A plan in use asks for .*, which tiny-plain cannot answer/);
  expect((await embed('green lamp')).model).toBe('tiny-next');
  expect((await run('stopped', [{ ...control, parameters }, ...rest], versions)).status).toBe(200);
  expect((await reload()).status).toBe(200);
  put(adapted);
  expect((await reload()).status).toBe(200);
});

test.each([
  ['another space', { seed: 2 }, 409, 'space_mismatch', /tiny-2 .* embedding space .*: start another backend/],
  ['a damaged file', 'damaged', 500, 'bundle_damaged', /student\.onnx: expected \d+ bytes/],
] as const)('a bundle of %s is refused, and the model before goes on', async (_what, change, status, code, detail) => {
  const dir = join(others, code);
  await makeBundle(dir, change === 'damaged' ? { name: 'tiny-damaged' } : change);
  if (change === 'damaged') truncateSync(join(dir, 'student.onnx'), 100);
  put(dir);
  const { status: got, body } = await reload();
  expect([got, body.code]).toEqual([status, code]);
  expect(body.detail).toMatch(detail);
  expect((await embed('green lamp')).model).toBe('tiny-next');
});
