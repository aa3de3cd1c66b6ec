/** Opens a generation: checks every digest and the space, then loads rows, indices and the lexical index. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { requireSameSpace } from '../../shared/bundle.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import { HarnessError } from '../../shared/problem.ts';
import { verifyFile } from '../encoder/bundle.ts';
import { inTurns } from '../in-turns.ts';
import type { AnnIndex } from '../index/ann-index.ts';
import { hnswIndex } from '../index/hnsw.ts';
import { readGraph } from '../index/hnsw-graph.ts';
import type { Milvus } from '../index/milvus.ts';
import type { ScanDevice } from '../index/scan-device.ts';
import type { VectorRows } from '../index/vector-rows.ts';
import { indexKeywords, type KeywordIndex } from '../retrieval/keyword.ts';
import { LexicalIndex } from '../retrieval/lexical.ts';
import { readSegment } from '../retrieval/lexical-segment.ts';
import { LEXICAL_VERSION } from '../retrieval/lexical-terms.ts';
import type { NegativeIndex } from '../retrieval/negatives.ts';
import { type Bookings, indexBookings } from './bookings.ts';
import {
  FILES,
  type GenerationAd,
  type GenerationManifest,
  indexFile,
  parseGenerationManifest,
  partition,
} from './layout.ts';
import { NumbersById } from './numbers-by-id.ts';
import { readRows, readVectors } from './read.ts';

/** A generation in memory. The live state takes it over and changes the indices of words, bookings and `rowOf`; load again to use it twice. */
export interface LoadedGeneration {
  manifest: GenerationManifest;
  /** By row. */
  ads: GenerationAd[];
  /** Row of each ad, by id. */
  rowOf: NumbersById;
  rows: VectorRows;
  /** Rows of each market. */
  members: ReadonlyMap<string, Uint32Array>;
  indices: ReadonlyMap<string, AnnIndex>;
  bookings: Bookings;
  lexical: LexicalIndex;
  /** Bid keywords and negative keywords, by row. */
  keywords: KeywordIndex;
  negatives: NegativeIndex<number>;
}

const FIX = 'the folder is skipped; build a new generation with POST /v1/generations';

/** The file of the lexical index as this version writes it, made by a thread of its own. */
function remadeLexical(dir: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const settings = { workerData: join(dir, FILES.ads), execArgv: [] };
    const worker = new Worker(new URL('./lexical-worker.ts', import.meta.url), settings);
    worker.once('message', resolve);
    const fail = (why: string, cause?: unknown) =>
      reject(new HarnessError('internal', `${dir}: the lexical index was not made anew: ${why}.`, { cause }));
    worker.once('error', (error: Error) => fail(error.message, error));
    worker.once('exit', (code) => fail(`its thread ended with ${code}`));
  });
}

/** The lists as they are in the file; made anew where another version wrote them. */
async function loadLexical(dir: string, { lexicalVersion, ads }: GenerationManifest) {
  const path = join(dir, FILES.lexical);
  const segment = readSegment(await (lexicalVersion === LEXICAL_VERSION ? readFile(path) : remadeLexical(dir)), path);
  if (segment.rows !== ads)
    throw new HarnessError('bundle_damaged', `${path}: expected ${ads} ads, got ${segment.rows}; ${FIX}.`);
  return new LexicalIndex(segment);
}

/** Where a generation's vectors are searched: its graphs in this process or in Milvus, and before these the device, where one is given. */
export interface SearchedIn {
  milvus?: Milvus | undefined;
  scan?: ScanDevice | undefined;
  /**
   * Called for a market that is searched in a graph that nobody has measured: when the gate looked, a device scanned
   * it.
   */
  onUnmeasured?: ((of: { generation: number; market: string }) => void) | undefined;
}

/** The index of each market; closes those that are open where one cannot be opened. */
async function openIndices(
  path: string,
  {
    manifest,
    rows,
    members,
    milvus,
    scan,
    onUnmeasured,
  }: SearchedIn & Pick<LoadedGeneration, 'manifest' | 'rows' | 'members'>,
): Promise<LoadedGeneration['indices']> {
  const indices = new Map<string, AnnIndex>();
  try {
    for (const [market, list] of members) {
      const collection = manifest.collections?.[market];
      if (collection !== undefined && milvus === undefined) {
        throw new HarnessError(
          'configuration',
          `Generation ${manifest.number} has its index in Milvus: set HARNESS_MILVUS, or build a new generation.`,
        );
      }
      const expansionSearch = manifest.expansionSearch?.[market];
      const graph = async (): Promise<AnnIndex> => {
        if (collection !== undefined) return milvus!.open(collection, rows, { members: list, expansionSearch });
        if (manifest.scanned?.includes(market)) onUnmeasured?.({ generation: manifest.number, market });
        const links = await readGraph(join(path, indexFile(market)), { size: list.length });
        return hnswIndex(links, { rows, members: list, expansionSearch });
      };
      indices.set(market, await (scan === undefined ? graph() : scan.open(rows, list, graph)));
    }
  } catch (error) {
    await closeGeneration({ indices });
    throw error;
  }
  return indices;
}

/** Row of each ad, by id, with others running in between. */
export async function rowsById(ads: readonly { ad: Pick<Ad, 'id'> }[]): Promise<NumbersById> {
  const rowOf = new NumbersById();
  await inTurns(ads, ({ ad }, row) => rowOf.set(ad.id, row));
  return rowOf;
}

/** Releases what a generation holds beside memory; queries that have begun are still answered. */
export async function closeGeneration({ indices }: Pick<LoadedGeneration, 'indices'>): Promise<void> {
  await Promise.all(Array.from(indices.values(), (index) => index.close?.()));
}

/**
 * Loads the generation in folder `path`, until {@link closeGeneration}. Throws `bundle_damaged` naming the file when a digest or a size is not what the
 * manifest says, or a collection in Milvus not there; `space_mismatch` when its vectors are not in `spaceId`; `configuration`
 * when its index is in Milvus and none is given.
 */
export async function loadGeneration(
  path: string,
  { spaceId, ...searchedIn }: SearchedIn & { spaceId: string },
): Promise<LoadedGeneration> {
  const manifestPath = join(path, FILES.manifest);
  const json = await readFile(manifestPath, 'utf8').catch((cause: unknown) => {
    throw new HarnessError('bundle_damaged', `${manifestPath}: expected a manifest, the file cannot be read; ${FIX}.`, {
      cause,
    });
  });
  const manifest = parseGenerationManifest(json, manifestPath);
  requireSameSpace(
    { what: 'the encoder', spaceId },
    { what: `generation ${manifest.number}`, spaceId: manifest.spaceId },
  );
  // One after the other: it takes as long together, and then pieces of all files hold the thread at once.
  for (const file of manifest.files) await verifyFile(join(path, file.file), file, FIX);

  const ads = await readRows(join(path, FILES.ads));
  if (ads.length !== manifest.ads) {
    throw new HarnessError(
      'bundle_damaged',
      `${join(path, FILES.ads)}: expected ${manifest.ads} ads, got ${ads.length}; ${FIX}.`,
    );
  }
  const vectors = join(path, FILES.vectors);
  const { rows, spaceId: ofVectors = 'none' } = await readVectors(vectors, {
    count: manifest.ads,
    dimension: manifest.dimension,
  });
  requireSameSpace(
    { what: `generation ${manifest.number}`, spaceId: manifest.spaceId },
    { what: vectors, spaceId: ofVectors },
  );
  const members = await partition(ads);
  const words = { lexical: await loadLexical(path, manifest), ...(await indexKeywords(ads)) };
  const bookings = await indexBookings(ads);
  const rowOf = await rowsById(ads);
  const indices = await openIndices(path, { manifest, rows, members, ...searchedIn });
  return { manifest, ads, rowOf, rows, members, indices, bookings, ...words };
}
