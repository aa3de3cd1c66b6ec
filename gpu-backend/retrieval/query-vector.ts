/**
 * Where a query's vector comes from: the teacher's own for the head queries of the bundle, the caller's where it brings one, else
 * the student's. The spaces agree, because the bundle's ads are the teacher's.
 */
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { HarnessError } from '../../shared/problem.ts';
import { type QueryVector, unpackUnitVector } from '../../shared/query-vector.ts';
import type { EncodeOptions, Encoder } from '../encoder/encoder.ts';

export interface EncodedQuery {
  /** [dimension] float32 of length one. */
  vector: Float32Array;
  by: 'student' | 'teacher';
}

export interface QueryVectors {
  /**
   * The vector that a request brings; throws `model_mismatch` for another student's and `bad_request` for one that is
   * not a vector.
   */
  brought(request: Pick<RetrieveRequest, 'vector'>): Float32Array | undefined;
  /** Throws what the encoder throws. */
  of(query: string, options: EncodeOptions & { brought: Float32Array | undefined }): Promise<EncodedQuery>;
}

function readVector({ studentSha256, values }: QueryVector, encoder: Encoder): Float32Array {
  if (studentSha256 !== encoder.studentSha256) {
    throw new HarnessError(
      'model_mismatch',
      `vector: expected one of student ${encoder.studentSha256} (${encoder.model}), got one of ${studentSha256}; send the query alone, and give the edge the backend's bundle.`,
    );
  }
  return unpackUnitVector(values, encoder.dimension);
}

export function createQueryVectors(options: {
  encoder: Encoder;
  /** The teacher's vectors, by normalized query. */
  headQueries: ReadonlyMap<string, Float32Array>;
  /** Queries answered by each; raised here. */
  counts: Record<EncodedQuery['by'], number>;
}): QueryVectors {
  const { encoder, headQueries, counts } = options;
  return {
    brought: ({ vector }) => (vector === undefined ? undefined : readVector(vector, encoder)),
    async of(query, { brought, ...encodeOptions }) {
      const own = headQueries.get(query);
      const by = own === undefined ? 'student' : 'teacher';
      const vector = own ?? brought ?? (await encoder.encode([query], encodeOptions)).vectors[0]!;
      counts[by]++;
      return { vector, by };
    },
  };
}
