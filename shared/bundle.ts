/**
 * A bundle is what the recipe publishes and serving loads: one folder with the student, its tokenizer, the teacher's
 * vectors of the catalogue, and a manifest that names the embedding space they live in.
 *
 *   manifest.json        this schema
 *   student.onnx         inputs  input_ids, attention_mask: int64 [batch, tokens]
 *                        output  embedding: float32 [batch, dimension], L2-normalised
 *   student.fp16.onnx    optional: the same student in fp16 for GPUs, same inputs and output
 *   tokenizer.json       Hugging Face tokenizers' format
 *   spelling.json        optional: words, for typos in what the student reads (shared/spelling.ts)
 *   asked-terms.json     optional: the terms of its training queries, for telling new words (shared/new-words.ts)
 *   ads.safetensors      vectors I8 [n, dimension] (cosine ignores their scale), ids U8 (newline-joined UTF-8),
 *                        textDigests U8 (newline-joined, see ad-text.ts); metadata.spaceId
 *   head-queries.safetensors
 *                        optional: the teacher's own vectors of the queries asked most, with what it really reads of each:
 *                        vectors I8 [n, dimension] (scaled as ads'), texts U8 (newline-joined, normalized); metadata.spaceId
 *   report.json          the measured evaluation
 *   teacher.json         optional: the teacher's measures of each test query, and its shape, for evaluating without its weights
 */
import * as z from 'zod';
import { CosineAdapter } from './cosine-adapter.ts';
import { canonicalJson, sha256Hex } from './digest.ts';
import { HarnessError } from './problem.ts';
import { RelevanceMap } from './relevance.ts';
import { NORMALIZER_VERSION } from './text.ts';

export const MANIFEST_VERSION = 1;

const Digest = z.string().regex(/^[0-9a-f]{64}$/);
const BundleFile = z.lazy(() =>
  z.strictObject({ file: z.string().regex(/^[\w.-]+$/), sha256: Digest, bytes: z.int().positive() }),
);
export type BundleFile = z.infer<typeof BundleFile>;

export const Manifest = z.lazy(() =>
  z
    .strictObject({
      manifestVersion: z.literal(MANIFEST_VERSION),
      /** Name of the model as answers and logs carry it, for example `default-4x384-int8`. */
      name: z.string().regex(/^[\w.-]{1,64}$/),
      spaceId: z.string().regex(/^[0-9a-f]{16}$/),
      dimension: z.int().positive(),
      /** Lengths to which its vectors may be cut and still search (Matryoshka); none unless it was trained for them. */
      cutDimensions: z.array(z.int().positive()).optional(),
      normalizerVersion: z.int().positive(),
      /** Longest input, in tokens; longer queries are cut. */
      maxTokens: z.int().positive(),
      student: BundleFile.unwrap().extend({
        precision: z.enum(['int8', 'fp16', 'fp32']),
        layers: z.int().nonnegative(),
        hidden: z.int().positive(),
        parameters: z.int().positive(),
      }),
      /** The student in fp16, for GPUs: they have no kernels for the int8 graph. */
      studentFp16: BundleFile.optional(),
      tokenizer: BundleFile,
      /** What the student's queries are spelled by (shared/spelling.ts); it reads them as typed where there is none. */
      spelling: BundleFile.optional(),
      ads: BundleFile.unwrap().extend({ count: z.int().nonnegative() }),
      /** Queries for which the teacher's own vector takes the place of the student's. */
      headQueries: BundleFile.unwrap().extend({ count: z.int().positive() }).optional(),
      report: BundleFile,
      /** The teacher's measures of each test query: its weights are no part of a bundle. */
      teacherMeasures: BundleFile.optional(),
      /** Weights of the logistic relevance map (shared/relevance.ts), fitted on validation queries. */
      calibration: RelevanceMap,
      /** Weights of the map that ends a query's list where a plan asks for it (shared/cosine-adapter.ts), fitted on validation queries. */
      cosineAdapter: CosineAdapter.optional(),
      /** What tells queries with words that no training query had (shared/new-words.ts), and the relevance map of these. */
      newWords: BundleFile.unwrap().extend({ calibration: RelevanceMap }).optional(),
      teacher: z.strictObject({ name: z.string(), sha256: Digest, license: z.string(), source: z.string() }),
      license: z.string(),
      /** How it was made: the recipe's configuration and the digest of its data. */
      provenance: z.strictObject({ config: z.record(z.string(), z.unknown()), dataSha256: Digest, seed: z.int() }),
    })
    .meta({ id: 'Manifest' }),
);
export type Manifest = z.infer<typeof Manifest>;

/** Everything that decides what a vector means. Equal identity, comparable vectors. */
export interface SpaceIdentity {
  teacherSha256: string;
  /** Digest of the projection between teacher and space, or `none`. */
  projection: string;
  dimension: number;
  normalizerVersion: number;
  /** Prefix put before queries by the teacher, or the empty string. */
  queryPrompt: string;
}

/** Names an embedding space: 64 bits of SHA-256 over its identity. */
export async function spaceIdOf(identity: SpaceIdentity): Promise<string> {
  return (await sha256Hex(canonicalJson(identity))).slice(0, 16);
}

/** Throws `space_mismatch` naming both spaces unless they are one. */
export function requireSameSpace(
  expected: { what: string; spaceId: string },
  got: { what: string; spaceId: string },
): void {
  if (expected.spaceId !== got.spaceId) {
    throw new HarnessError(
      'space_mismatch',
      `${got.what} lives in embedding space ${got.spaceId}, ${expected.what} in ${expected.spaceId}: their vectors cannot be compared; re-embed or load the matching one.`,
    );
  }
}

/** A manifest that this build can serve; throws `bundle_damaged` or `configuration` with the reason. */
export function parseManifest(json: string, where: string): Manifest {
  let manifest: Manifest;
  try {
    manifest = Manifest.parse(JSON.parse(json));
  } catch (cause) {
    const reason =
      cause instanceof z.ZodError ? `${cause.issues[0]?.path.join('.')}: ${cause.issues[0]?.message}` : 'not JSON';
    throw new HarnessError(
      'bundle_damaged',
      `${where}: not a bundle manifest (${reason}); publish the bundle again with npm run recipe.`,
      { cause },
    );
  }
  if (manifest.normalizerVersion !== NORMALIZER_VERSION) {
    throw new HarnessError(
      'configuration',
      `${where}: made for query normaliser ${manifest.normalizerVersion}, this build has ${NORMALIZER_VERSION}; publish the bundle again with npm run recipe.`,
    );
  }
  return manifest;
}
