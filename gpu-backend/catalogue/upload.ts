/** An ad as it is sent, checked: the contract, text that can be stored, and a vector of the space that is served. */
import { adTextDigest } from '../../shared/ad-text.ts';
import { type Ad, AdUpload } from '../../shared/contract/ads.ts';
import { HarnessError, parse } from '../../shared/problem.ts';
import { requireStorable } from '../db/storable.ts';
import type { StoredVector } from './rows.ts';

/** The embedding space that is served; vectors of others are refused. */
export interface ServedSpace {
  spaceId: string;
  dimension: number;
}

export interface Upload {
  ad: Ad;
  stored: StoredVector | undefined;
}

/** Throws `bad_request`, and `space_mismatch` for a vector of another space. */
export async function readUpload(value: unknown, space: ServedSpace): Promise<Upload> {
  const { vector, ...ad } = parse(AdUpload, value, 'ad');
  requireStorable(ad, 'ad');
  if (vector === undefined) return { ad, stored: undefined };
  if (vector.spaceId !== space.spaceId) {
    throw new HarnessError(
      'space_mismatch',
      `The vector of ad ${ad.id} lives in embedding space ${vector.spaceId}, the model served in ${space.spaceId}: send one of that space, or none.`,
    );
  }
  const [type, base64, width] = 'int16' in vector ? ['int16', vector.int16, 2] : ['int8', vector.int8, 1];
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== width * space.dimension) {
    throw new HarnessError(
      'bad_request',
      `vector.${type}: expected ${width * space.dimension} bytes in base64, got ${bytes.length}.`,
    );
  }
  const stored = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return { ad, stored: { vector: stored, textDigest: await adTextDigest(ad) } };
}
