/**
 * The vectors that the index is measured on, as raw float32 files that peers in other languages read too: ads as the teacher
 * sees them, queries as the student does, so that queries are out of the ads' distribution as they are in service, and the
 * true neighbours of each query. Made once and kept under `.cache/bench`; the same count, the same bytes. Ads do not change with
 * the student, and neither does what is built over them.
 *
 * An ad's vector is that of one of the market's ads, drawn a little towards a second one's and in a random direction:
 * so they stay clustered, and float32 has something that int8 loses. A smaller number of ads is the beginning of a
 * larger one.
 */
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import usearch from 'usearch';
import { loadBundle } from '../../gpu-backend/encoder/bundle.ts';
import { createEncoder } from '../../gpu-backend/encoder/pool.ts';
import { createMarket, MARKET_SEED } from '../../marketplace/market.ts';
import { createRandom } from '../../marketplace/random.ts';
import { normalize } from '../../shared/text.ts';

export const K = 10;
const QUERIES = 500;
/** Share of the second ad's vector and length of the noise beside 1 of the first's. */
const [SECOND, NOISE] = [0.3, 0.35];
/** Rows written, or compared with all queries, at a time. */
const BLOCK = 20_000;

export interface BenchVectors {
  /** Folder for what is made of the ads, and of nothing else. */
  dir: string;
  files: { ads: string; queries: string; truth: string };
  count: number;
  dimension: number;
  spaceId: string;
  /** [count, dimension] float32 at unit length, row-major. */
  ads: Float32Array;
  /** [dimension] float32 each, at unit length. */
  queries: Float32Array[];
  /** The K nearest rows of each query by float32 cosine, best first. */
  truth: Uint32Array[];
}

const floats = (path: string) => {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return new Float32Array(buffer, byteOffset, byteLength / 4);
};
const rowsOf = <T extends Float32Array | Uint32Array>(matrix: T, width: number) =>
  Array.from({ length: matrix.length / width }, (_, row) => matrix.subarray(row * width, (row + 1) * width) as T);

/** Writes beside the place and renames, so that what is there is whole. */
async function writeAds(path: string, own: Int8Array, { count, dimension }: { count: number; dimension: number }) {
  const random = createRandom(MARKET_SEED, 'bench-ad-vectors');
  const ownCount = own.length / dimension;
  const out = createWriteStream(`${path}.next`);
  for (let from = 0; from < count; from += BLOCK) {
    const block = new Float32Array(Math.min(BLOCK, count - from) * dimension);
    for (let at = 0; at < block.length; at += dimension) {
      const a = random.int(ownCount) * dimension;
      const b = random.int(ownCount) * dimension;
      let squares = 0;
      for (let i = 0; i < dimension; i++) squares += own[a + i]! ** 2;
      // Uniform noise of NOISE times the first vector's length.
      const noise = NOISE * Math.sqrt((3 * squares) / dimension);
      let sum = 0;
      for (let i = 0; i < dimension; i++) {
        const value = own[a + i]! + SECOND * own[b + i]! + noise * (2 * random.next() - 1);
        block[at + i] = value;
        sum += value * value;
      }
      const scale = 1 / Math.sqrt(sum);
      for (let i = 0; i < dimension; i++) block[at + i]! *= scale;
    }
    if (!out.write(new Uint8Array(block.buffer))) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
  renameSync(`${path}.next`, path);
}

/** The student's vectors of queries that people ask in the market's test split, evenly chosen. */
async function writeQueries(path: string, bundle: Awaited<ReturnType<typeof loadBundle>>): Promise<void> {
  const { queries } = createMarket({ seed: MARKET_SEED });
  const texts = [...new Set(queries.test.map(({ text }) => normalize(text)))];
  const chosen = texts.filter((_, i) => i % Math.max(1, Math.floor(texts.length / QUERIES)) === 0).slice(0, QUERIES);
  const encoder = await createEncoder({ bundle, workers: 1 });
  const vectors: Float32Array[] = [];
  for (let from = 0; from < chosen.length; from += 32) {
    vectors.push(...(await encoder.encode(chosen.slice(from, from + 32))).vectors);
  }
  await encoder.close();
  writeFileSync(path, Buffer.concat(vectors.map((v) => new Uint8Array(v.buffer, v.byteOffset, v.byteLength))));
}

/** Exact neighbours, block by block: each block's best K against the best so far. */
export function exactNeighbours(ads: Float32Array, queries: readonly Float32Array[], dimension: number): Uint32Array[] {
  const best = queries.map(() => [] as { row: number; distance: number }[]);
  const asked = Float32Array.from(queries.flatMap((query) => [...query]));
  for (let from = 0; from < ads.length / dimension; from += BLOCK) {
    // A copy: usearch reads an array's buffer from its beginning, wherever the array begins.
    const block = ads.slice(from * dimension, (from + BLOCK) * dimension);
    const k = Math.min(K, block.length / dimension);
    const { keys, distances } = usearch.exactSearch(block, asked, dimension, k, usearch.MetricKind.IP, 0);
    for (const [i, list] of best.entries()) {
      for (let j = i * k; j < (i + 1) * k; j++) list.push({ row: from + Number(keys[j]), distance: distances[j]! });
      list.sort((a, b) => a.distance - b.distance || a.row - b.row).splice(K);
    }
  }
  return best.map((list) => Uint32Array.from(list, ({ row }) => row));
}

/**
 * The first `count` ads of `of`, made where they are missing: sizes that are compared share their ads, and their queries
 * in any case.
 */
export async function benchVectors(
  count: number,
  { of = count, say }: { of?: number; say: (line: string) => void },
): Promise<BenchVectors> {
  const bundle = await loadBundle('models/default');
  const { spaceId, dimension, ads: own, student } = bundle.manifest;
  const dir = join('.cache', 'bench', `index-${spaceId}-${own.sha256.slice(0, 8)}`);
  const by = student.sha256.slice(0, 8);
  mkdirSync(dir, { recursive: true });
  const files = {
    ads: join(dir, `ads-${of}.f32`),
    queries: join(dir, `queries-${by}.f32`),
    truth: join(dir, `truth-${count}-${by}.u32`),
  };
  if (!existsSync(files.ads)) {
    say(`writing ${of} ad vectors`);
    await writeAds(files.ads, (await bundle.readAds()).vectors, { count: of, dimension });
  }
  if (!existsSync(files.queries)) await writeQueries(files.queries, bundle);
  const ads = floats(files.ads).subarray(0, count * dimension);
  const queries = rowsOf(floats(files.queries), dimension);
  if (!existsSync(files.truth)) {
    say(`exact neighbours of ${queries.length} queries among ${count} ads`);
    const truth = exactNeighbours(ads, queries, dimension);
    writeFileSync(files.truth, Buffer.concat(truth.map((rows) => new Uint8Array(rows.buffer))));
  }
  const { buffer, byteOffset, byteLength } = readFileSync(files.truth);
  const truth = rowsOf(new Uint32Array(buffer, byteOffset, byteLength / 4), K);
  return { dir, files, count, dimension, spaceId, ads, queries, truth };
}

/** Share of the true neighbours among the first K rows of each answer. */
export function recallAt(answers: readonly ArrayLike<number>[], truth: readonly Uint32Array[]): number {
  let found = 0;
  for (const [i, rows] of answers.entries()) {
    const wanted = new Set(truth[i]);
    for (let j = 0; j < Math.min(K, rows.length); j++) if (wanted.has(rows[j]!)) found++;
  }
  return found / (K * answers.length);
}
