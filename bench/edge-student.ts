/**
 * A student in the Worker (docs/edge-student.md), in workerd: what it weighs, what loading it costs, CPU a query beside
 * the backend's runtime, and whether the vectors are the backend's. A static one of the same vocabulary, with random
 * vectors, is measured beside the default bundle's student, for its size and speed only.
 */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { median } from 'simple-statistics';
import { loadBundle } from '../gpu-backend/encoder/bundle.ts';
import { openSession } from '../gpu-backend/encoder/ort.ts';
import { bundleTokenizer } from '../gpu-backend/encoder/tokenize.ts';
import { createMarket, MARKET_SEED } from '../marketplace/market.ts';
import { bundle, WASM_MODULE } from '../scripts/edge-build.ts';
import { sha256Hex } from '../shared/digest.ts';
import { unpackUnitVector } from '../shared/query-vector.ts';
import { normalize } from '../shared/text.ts';
import { freePort } from '../test/setup/free-port.ts';
import { initialWeights } from '../training/nn/initial.ts';
import { int8Model } from '../training/runner/encoder.ts';
import { cpuMicros, residentMb, runWorkerd, untilAnswered } from './edge/workerd.ts';
import { type Bench, bounded, type Row } from './row.ts';

const BUNDLE = 'models/default';
const VOCABULARY = 30_522;
const megabytes = (bytes: number) => bytes / 1e6;

/** The default bundle with a static student instead of its own. */
async function staticBundle(dir: string): Promise<void> {
  cpSync(BUNDLE, dir, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8'));
  const shape = {
    config: {
      model_type: 'static' as const,
      vocab_size: VOCABULARY,
      hidden_size: 256,
      num_hidden_layers: 0,
      intermediate_size: 0,
      max_position_embeddings: manifest.maxTokens,
      pad_token_id: 0,
    },
    pooling: { mode: 'mean' as const, normalize: true },
    projection: manifest.dimension,
  };
  const model = int8Model({ ...shape, weights: initialWeights(shape, 1) }, { weightLimit: 63 });
  writeFileSync(join(dir, manifest.student.file), model);
  const student = { ...manifest.student, sha256: await sha256Hex(model), bytes: model.byteLength };
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ ...manifest, student }));
}

/** The encoding Worker over a bundle's folder, in a workerd of its own. */
async function serve(dir: string, studentDir: string) {
  mkdirSync(dir, { recursive: true });
  const script = await bundle(fileURLToPath(new URL('./edge/student.worker.ts', import.meta.url)), { minify: true });
  writeFileSync(join(dir, 'worker.js'), script);
  copyFileSync(WASM_MODULE.path, join(dir, 'linear.wasm'));
  const port = await freePort();
  writeFileSync(
    join(dir, 'config.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
  services = [
    (name = "student", disk = (path = ${JSON.stringify(resolve(studentDir))})),
    (name = "main", worker = (compatibilityDate = "2026-11-01", bindings = [(name = "STUDENT", service = "student")],
      modules = [(name = "worker.js", esModule = embed "worker.js"),
        (name = "${WASM_MODULE.name}", wasm = embed "linear.wasm")]))]
);
`,
  );
  const served = runWorkerd(join(dir, 'config.capnp'), { url: `http://127.0.0.1:${port}` });
  await untilAnswered(served.url);
  const encode = async (texts: readonly string[], times = 1): Promise<string[]> => {
    const response = await fetch(`${served.url}/?times=${times}`, { method: 'POST', body: JSON.stringify(texts) });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as string[];
  };
  return { ...served, encode, scriptGzip: gzipSync(script).byteLength };
}

/** Loading and CPU a query of one student; the vectors of `texts` at the end. */
async function measure(name: string, options: { dir: string; studentDir: string; texts: string[]; turns: number }) {
  const { dir, studentDir, texts, turns } = options;
  const loads: { cpu: number; wall: number; memory: number }[] = [];
  for (let i = 0; i < turns; i++) {
    const fresh = await serve(dir, studentDir);
    const before = { cpu: cpuMicros(fresh.pid), wall: performance.now(), memory: residentMb(fresh.pid) };
    await fresh.encode([]);
    loads.push({
      cpu: (cpuMicros(fresh.pid) - before.cpu) / 1_000,
      wall: performance.now() - before.wall,
      memory: residentMb(fresh.pid) - before.memory,
    });
    await fresh.stop();
  }
  const served = await serve(dir, studentDir);
  await served.encode(texts); // compiled, and well
  const each: number[] = [];
  for (let i = 0; i < turns; i++) {
    const before = cpuMicros(served.pid);
    await served.encode(texts, 2);
    each.push((cpuMicros(served.pid) - before) / 2 / texts.length / 1_000);
  }
  const vectors = await served.encode(texts);
  await served.stop();
  const rows: Row[] = [
    bounded(`${name}: loading, CPU`, median(loads.map(({ cpu }) => cpu)), 'ms', ['<=', 1_000]),
    { metric: `${name}: loading, wall`, value: median(loads.map(({ wall }) => wall)), unit: 'ms' },
    bounded(`${name}: memory that it takes`, median(loads.map(({ memory }) => memory)), 'MB', ['<=', 64]),
    bounded(`${name}: CPU a query`, median(each), 'ms', ['<=', 10]),
  ];
  return { rows, vectors, scriptGzip: served.scriptGzip, each };
}

export const edgeStudent: Bench = async ({ quick, say }) => {
  const [count, turns] = quick ? [100, 3] : [500, 5];
  const dir = mkdtempSync(join(tmpdir(), 'harness-edge-student-'));
  try {
    const bundle = await loadBundle(BUNDLE);
    const { manifest, paths, readAds } = bundle;
    const { dimension } = manifest;
    const market = createMarket({ seed: MARKET_SEED });
    const all = market.queries.test;
    const texts = Array.from({ length: count }, (_, i) => normalize(all[Math.floor((i * all.length) / count)]!.text));

    say('the student of the default bundle');
    const own = await measure('student', { dir: join(dir, 'own'), studentDir: BUNDLE, texts, turns });
    say('a static student');
    await staticBundle(join(dir, 'bundle'));
    const fixed = await measure('static', { dir: join(dir, 'static'), studentDir: join(dir, 'bundle'), texts, turns });

    say('the runtime of the backend');
    const session = await openSession({
      model: paths.student,
      name: paths.student,
      precision: manifest.student.precision,
      requested: 'cpu',
      threads: 1,
      dimension,
    });
    const { encode } = await bundleTokenizer(bundle);
    const rows = texts.map((text) => encode(text));
    const run = (ids: number[]) => {
      const mask = new BigInt64Array(ids.length).fill(1n);
      return session.run(BigInt64Array.from(ids, BigInt), mask, { batch: 1, tokens: ids.length });
    };
    const expected: Float32Array[] = [];
    for (const ids of rows) expected.push(await run(ids));
    const each: number[] = [];
    for (let i = 0; i < turns; i++) {
      const before = process.cpuUsage();
      for (const [at, ids] of rows.entries()) if (encode(texts[at]!).length === ids.length) await run(ids);
      const { user, system } = process.cpuUsage(before);
      each.push((user + system) / 1_000 / rows.length);
    }
    await session.release();

    const made = own.vectors.map((packed) => unpackUnitVector(packed, dimension));
    const cosines = made.map((vector, i) => vector.reduce((sum, value, j) => sum + value * expected[i]![j]!, 0));
    const ads = await readAds();
    const best = (query: Float32Array) => {
      const scores = Float32Array.from(ads.ids, (_, ad) => {
        let sum = 0;
        let length = 0;
        for (let j = 0; j < dimension; j++) {
          const value = ads.vectors[ad * dimension + j]!;
          sum += query[j]! * value;
          length += value * value;
        }
        return sum / Math.sqrt(length);
      });
      return new Set([...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, 10));
    };
    say('the ten nearest ads by both vectors');
    const overlaps = made.slice(0, 100).map((vector, i) => best(vector).intersection(best(expected[i]!)).size / 10);

    const sizeOf = (path: string) => gzipSync(readFileSync(path)).byteLength;
    return {
      rows: [
        bounded('code of the student, minified, gzip', own.scriptGzip / 1_000, 'kB', ['<=', 100]),
        { metric: 'student.onnx, gzip', value: megabytes(sizeOf(paths.student)), unit: 'MB' },
        { metric: 'tokenizer.json, gzip', value: megabytes(sizeOf(paths.tokenizer)), unit: 'MB' },
        { metric: 'spelling.json, gzip', value: megabytes(sizeOf(paths.spelling!)), unit: 'MB' },
        ...own.rows,
        { metric: 'CPU a query over that of the backend', value: median(own.each) / median(each), unit: 'x' },
        bounded('cosine with the backend, least', Math.min(...cosines), '', ['>=', 0.999]),
        { metric: 'cosine with the backend, median', value: median(cosines), unit: '' },
        bounded('ten nearest ads in common', (100 * overlaps.reduce((a, b) => a + b, 0)) / overlaps.length, '%', [
          '>=',
          99,
        ]),
        ...fixed.rows,
      ],
      detail: { queries: texts.length, tokens: rows.reduce((sum, { length }) => sum + length, 0) / rows.length, turns },
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};
