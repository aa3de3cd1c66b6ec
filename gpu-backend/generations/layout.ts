/**
 * What a generation is on disk: one immutable folder over one catalogue snapshot in one embedding space.
 *
 *   <dataDir>/generations/<number>/
 *     manifest.json       this schema and its own sha256; written last, and once more with what the gate found
 *     ads.jsonl           {revision, source, ad} a line; the line number is the ad's row
 *     vectors.safetensors vectors I16 [rows, dimension], each of length 32767; metadata.spaceId
 *     <market>.hnsw       links of the graph over the rows of the ads booked in that market; none where Milvus holds it
 *     lexical.safetensors the lexical index, as lexicalVersion writes it
 *   <dataDir>/generations/<number>/published.json   written when it went live: {publishedAt, recall}
 *   <dataDir>/generations/<number>/failed.json      written instead when the gate refused it: {reason}; nothing else is left
 *   <dataDir>/generations/live                      number of the live one, replaced by rename
 *   <dataDir>/generations/building-<number>/        unfinished; removed at start
 *   <dataDir>/generations/building-<number>.collections   what it has in Milvus: [name, ...]; removed, with these, by then or the next publication
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Ad } from '../../shared/contract/ads.ts';
import { Market } from '../../shared/contract/names.ts';
import { HarnessError } from '../../shared/problem.ts';
import { inTurns } from '../in-turns.ts';

export const GENERATION_FORMAT = 3;

/** Ends the name of what says which collections an unfinished build has in Milvus. */
export const IN_MILVUS = '.collections';

/** Where an ad's vector came from, best first: its owner, the teacher's vectors in the bundle, the student for now. */
export const VectorSource = z.enum(['uploaded', 'bundle', 'student']);
export type VectorSource = z.infer<typeof VectorSource>;

const GenerationFile = z.strictObject({
  file: z.string().regex(/^[\w.-]+$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.int().nonnegative(),
});

export const GenerationManifest = z.strictObject({
  format: z.literal(GENERATION_FORMAT),
  number: z.int().positive(),
  createdAt: z.string(),
  spaceId: z.string(),
  dimension: z.int().positive(),
  /** Name of the bundle whose student it was built with. */
  model: z.string(),
  ads: z.int().nonnegative(),
  markets: z.record(Market, z.int().positive()),
  vectors: z.record(VectorSource, z.int().nonnegative()),
  lexicalVersion: z.int(),
  /** Length of each market's list of candidates, as the gate found it; absent before, and where search is exact. */
  expansionSearch: z.record(Market, z.int().positive()).optional(),
  /** Markets that a device scanned when the gate looked, so that nobody has measured their graphs; absent where there are none. */
  scanned: z.array(Market).optional(),
  /** Where Milvus holds the index: its collections, by market. */
  collections: z.record(Market, z.string()).optional(),
  /** The generation whose content this one brings back. */
  copyOf: z.int().positive().nullable(),
  /** The generation that a start could not serve, so that this one was brought back in its place; absent after a rollback. */
  insteadOf: z.int().positive().optional(),
  files: z.array(GenerationFile),
});
export type GenerationManifest = z.infer<typeof GenerationManifest>;

/** A line of ads.jsonl. `revision` is the catalogue's counter at the ad's last change. */
export const GenerationAd = z.strictObject({ revision: z.int().nonnegative(), source: VectorSource, ad: Ad });
export type GenerationAd = z.infer<typeof GenerationAd>;

export const FILES = {
  manifest: 'manifest.json',
  ads: 'ads.jsonl',
  vectors: 'vectors.safetensors',
  lexical: 'lexical.safetensors',
};
export const indexFile = (market: string) => `${market}.hnsw`;

const digestOf = (manifest: object) => createHash('sha256').update(JSON.stringify(manifest)).digest('hex');

/** manifest.json: the manifest, and the digest of all of it that comes before. */
export function manifestJson(manifest: GenerationManifest): string {
  return `${JSON.stringify({ ...manifest, sha256: digestOf(manifest) }, null, 2)}\n`;
}

/** Parses manifest.json; throws `bundle_damaged` with the reason. */
export function parseGenerationManifest(json: string, where: string): GenerationManifest {
  const damaged = (reason: string, cause?: unknown) =>
    new HarnessError('bundle_damaged', `${where}: not a generation's manifest (${reason}); build a new generation.`, {
      cause,
    });
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch (cause) {
    throw damaged('not JSON', cause);
  }
  const { sha256, ...manifest } = Object(content) as Record<string, unknown>;
  if (sha256 !== digestOf(manifest)) throw damaged(`expected SHA-256 ${digestOf(manifest)}, got ${sha256}`);
  const { format } = manifest;
  if (format !== GENERATION_FORMAT) throw damaged(`format: expected ${GENERATION_FORMAT}, got ${format}`);
  const parsed = GenerationManifest.safeParse(manifest);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw damaged(`${issue?.path.join('.')}: ${issue?.message}`, parsed.error);
}

/** Rows of each market, ascending, from the ads in row order, with others running in between. */
export async function partition(
  ads: readonly { ad: Pick<Ad, 'markets'> }[],
): Promise<Map<string, Uint32Array<ArrayBuffer>>> {
  const rows = new Map<string, number[]>();
  await inTurns(ads, ({ ad }, row) => {
    for (const market of ad.markets) {
      const list = rows.get(market);
      if (list === undefined) rows.set(market, [row]);
      else if (list.at(-1) !== row) list.push(row);
    }
  });
  // The constructor: from() takes a list one by one.
  return new Map(
    [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([market, list]) => [market, new Uint32Array(list)]),
  );
}
