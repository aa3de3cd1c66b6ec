/** Opens a generation: checks every digest and the space, then loads rows, indices and the lexical index. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requireSameSpace } from '../../shared/bundle.ts';
import { HarnessError } from '../../shared/problem.ts';
import { readSafetensors } from '../../shared/safetensors.ts';
import { verifyFile } from '../encoder/bundle.ts';
import type { AnnIndex } from '../index/ann-index.ts';
import { loadUsearch } from '../index/usearch.ts';
import type { VectorRows } from '../index/vector-rows.ts';
import { LEXICAL_VERSION, LexicalIndex } from '../retrieval/lexical.ts';
import {
  FILES,
  type GenerationAd,
  type GenerationManifest,
  indexFile,
  parseGenerationManifest,
  partition,
} from './layout.ts';
import { readRows, readVectors } from './read.ts';

/** A generation in memory. The live state takes it over and changes `lexical`; load again to use it twice. */
export interface LoadedGeneration {
  manifest: GenerationManifest;
  /** By row. */
  ads: GenerationAd[];
  rows: VectorRows;
  /** Rows of each market. */
  members: ReadonlyMap<string, Uint32Array>;
  indices: ReadonlyMap<string, AnnIndex>;
  lexical: LexicalIndex;
}

const FIX = 'the folder is skipped; build a new generation with POST /v1/generations';

async function loadLexical(path: string, version: number, ads: readonly GenerationAd[]): Promise<LexicalIndex> {
  if (version === LEXICAL_VERSION) return LexicalIndex.load(await readFile(path, 'utf8'), ads.length);
  const lexical = new LexicalIndex();
  for (const [row, { ad }] of ads.entries()) lexical.put(row, ad);
  return lexical;
}

/**
 * Loads the generation in folder `path`. Throws `bundle_damaged` naming the file when a digest or a size is not what the
 * manifest says, `space_mismatch` when its vectors are not in `spaceId`.
 */
export async function loadGeneration(path: string, { spaceId }: { spaceId: string }): Promise<LoadedGeneration> {
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
  await Promise.all(manifest.files.map((file) => verifyFile(join(path, file.file), file, FIX)));

  const ads = await readRows(await readFile(join(path, FILES.ads), 'utf8'));
  if (ads.length !== manifest.ads) {
    throw new HarnessError(
      'bundle_damaged',
      `${join(path, FILES.ads)}: expected ${manifest.ads} ads, got ${ads.length}; ${FIX}.`,
    );
  }
  const image = await readFile(join(path, FILES.vectors));
  requireSameSpace(
    { what: `generation ${manifest.number}`, spaceId: manifest.spaceId },
    { what: join(path, FILES.vectors), spaceId: readSafetensors(image).metadata.spaceId ?? 'none' },
  );
  const rows = readVectors(image, {
    path: join(path, FILES.vectors),
    count: manifest.ads,
    dimension: manifest.dimension,
  });
  const members = partition(ads);
  const indices = new Map(
    [...members].map(([market, list]) => [market, loadUsearch(join(path, indexFile(market)), rows, list)]),
  );
  const lexical = await loadLexical(join(path, FILES.lexical), manifest.lexicalVersion, ads);
  return { manifest, ads, rows, members, indices, lexical };
}
