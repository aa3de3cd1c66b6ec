/**
 * Builds a generation beside the live one: the catalogue snapshot and its vectors are written into an unfinished folder,
 * a process of its own makes the indices from those files, and only when everything is on disk does a rename make it a
 * generation. A process killed anywhere before that leaves a folder that the next start removes.
 */
import { fork } from 'node:child_process';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Ad } from '../../shared/contract/ads.ts';
import { HarnessError } from '../../shared/problem.ts';
import { headImage } from '../../shared/safetensors.ts';
import { sha256OfFile } from '../encoder/bundle.ts';
import { inTurns } from '../in-turns.ts';
import type { Milvus } from '../index/milvus.ts';
import { sixteenBits } from '../index/vector-rows.ts';
import { LEXICAL_VERSION } from '../retrieval/lexical-terms.ts';
import { syncFolder } from '../sync-folder.ts';
import type { BuildSettings, FromBuilder } from './build-process.ts';
import {
  FILES,
  GENERATION_FORMAT,
  type GenerationAd,
  type GenerationManifest,
  IN_MILVUS,
  manifestJson,
  partition,
} from './layout.ts';
import type { AdVector } from './vectors.ts';

export interface BuildOptions {
  number: number;
  /** Folder of all generations. */
  dir: string;
  ads: readonly { ad: Ad; revision: number }[];
  vectorOf: (row: number) => AdVector;
  spaceId: string;
  dimension: number;
  model: string;
  /** Epoch milliseconds. */
  nowMs: number;
  /** Where the index goes; absent, into the folder. */
  milvus?: Milvus | undefined;
  /** Native threads of the index build. */
  threads?: number;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/** Rows made at a time: some milliseconds. */
const TURN = 500;

/** Writes a file and waits until the disk has it. */
async function writeDurably(path: string, chunks: Iterable<string | Uint8Array>) {
  const file = await open(path, 'w');
  try {
    for (const chunk of chunks) {
      await file.writeFile(chunk);
      await nextTurn();
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function* lines(ads: BuildOptions['ads'], vectorOf: BuildOptions['vectorOf']): Generator<string> {
  for (let from = 0; from < ads.length; from += TURN) {
    let text = '';
    for (let row = from; row < Math.min(ads.length, from + TURN); row++) {
      const { ad, revision } = ads[row]!;
      text += `${JSON.stringify({ revision, source: vectorOf(row).source, ad } satisfies GenerationAd)}\n`;
    }
    yield text;
  }
}

/** Each block is good until the next: memory for a million ads' vectors would have the collector look at all ads again and again. */
function* vectorFile({ ads, vectorOf, dimension, spaceId }: BuildOptions): Generator<Uint8Array> {
  const vectors = { dtype: 'I16' as const, shape: [ads.length, dimension], bytes: 2 * ads.length * dimension };
  yield headImage({ tensors: new Map([['vectors', vectors]]), metadata: { spaceId } });
  const block = new Int16Array(TURN * dimension);
  for (let from = 0; from < ads.length; from += TURN) {
    const rows = Math.min(TURN, ads.length - from);
    for (let i = 0; i < rows; i++) {
      const { components } = vectorOf(from + i);
      if (components.length !== dimension) {
        throw new HarnessError(
          'space_mismatch',
          `ad ${ads[from + i]!.ad.id}: expected a vector of ${dimension} components in space ${spaceId}, got ${components.length}.`,
        );
      }
      sixteenBits(components, block.subarray(i * dimension, (i + 1) * dimension));
    }
    yield new Uint8Array(block.buffer, 0, 2 * rows * dimension);
  }
}

/** Runs the process over the folder; it adds the index files. */
function buildIndices(settings: BuildSettings, { onProgress, signal, milvus }: BuildOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = fileURLToPath(new URL('./build-process.ts', import.meta.url));
    const child = fork(script, [JSON.stringify(settings)], {
      execArgv: [],
      env: { ...process.env, HARNESS_MILVUS_TOKEN: milvus?.connection.token },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const abort = () => child.kill('SIGKILL');
    signal?.addEventListener('abort', abort, { once: true });
    let done = false;
    let why: string | undefined;
    child.on('message', (message: FromBuilder) => {
      if (message.kind === 'done') done = true;
      else if (message.kind === 'failed') why = message.reason;
      else onProgress?.(message.done, message.total);
    });
    child.once('error', reject);
    child.once('exit', (code, killedBy) => {
      signal?.removeEventListener('abort', abort);
      if (signal?.aborted) reject(signal.reason);
      else if (done) resolve();
      else {
        const ended = why ?? killedBy ?? `exit code ${code}`;
        reject(new HarnessError('internal', `The index build ended early with ${ended}.`));
      }
    });
  });
}

async function describe(dir: string): Promise<GenerationManifest['files']> {
  const files: GenerationManifest['files'] = [];
  for (const file of (await readdir(dir)).sort()) {
    const path = join(dir, file);
    const handle = await open(path, 'r');
    try {
      await handle.sync();
      files.push({ file, sha256: await sha256OfFile(path), bytes: (await handle.stat()).size });
    } finally {
      await handle.close();
    }
  }
  return files;
}

/** Writes the manifest into a folder whose files are complete, and renames the folder to its number. */
export async function seal(building: string, dir: string, manifest: GenerationManifest): Promise<string> {
  await writeDurably(join(building, FILES.manifest), [manifestJson(manifest)]);
  await syncFolder(building);
  const path = join(dir, String(manifest.number));
  await rename(building, path);
  await syncFolder(dir);
  return path;
}

/**
 * Builds generation `number` and returns its folder. Throws the signal's reason when aborted; on any failure the
 * unfinished folder is removed; what it has in Milvus is the store's to remove, as after the end of the process.
 */
export async function buildGeneration(options: BuildOptions): Promise<string> {
  const { number, dir, ads, vectorOf, spaceId, dimension, model, milvus } = options;
  const building = join(dir, `building-${number}`);
  const inMilvus = join(dir, `building-${number}${IN_MILVUS}`);
  await rm(building, { recursive: true, force: true });
  await mkdir(building, { recursive: true });
  try {
    await writeDurably(join(building, FILES.ads), lines(ads, vectorOf));
    await writeDurably(join(building, FILES.vectors), vectorFile(options));
    const markets = Object.fromEntries(Array.from(await partition(ads), ([market, rows]) => [market, rows.length]));
    const collections =
      milvus && Object.fromEntries(Object.keys(markets).map((market) => [market, milvus.collectionOf(number, market)]));
    if (collections !== undefined) {
      await writeDurably(inMilvus, [JSON.stringify(Object.values(collections))]);
      await syncFolder(dir);
    }
    options.signal?.throwIfAborted();
    await buildIndices(
      {
        dir: building,
        dimension,
        threads: options.threads ?? 1,
        ...(collections && { milvus: { address: milvus.connection.address, collections } }),
      },
      options,
    );
    const vectors = { uploaded: 0, bundle: 0, student: 0 };
    await inTurns(ads, (_, row) => vectors[vectorOf(row).source]++);
    const sealed = await seal(building, dir, {
      format: GENERATION_FORMAT,
      number,
      createdAt: new Date(options.nowMs).toISOString(),
      spaceId,
      dimension,
      model,
      ads: ads.length,
      markets,
      vectors,
      lexicalVersion: LEXICAL_VERSION,
      ...(collections && { collections }),
      copyOf: null,
      files: await describe(building),
    });
    await rm(inMilvus, { force: true }); // its manifest names them from now on
    return sealed;
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    throw error;
  }
}
