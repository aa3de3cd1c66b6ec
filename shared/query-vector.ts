/** A query's vector on the wire: which student made it, and its values as base64 of little-endian float32. */
import * as z from 'zod';
import { HarnessError } from './problem.ts';

export const QueryVector = z.lazy(() =>
  z
    .strictObject({
      /** SHA-256 of the student's file, as its bundle's manifest has it: vectors of two students are not to be mixed. */
      studentSha256: z.string().regex(/^[0-9a-f]{64}$/),
      /** [dimension] float32 of length one. */
      values: z.base64().max(65_536),
    })
    .meta({ id: 'QueryVector' }),
);
export type QueryVector = z.infer<typeof QueryVector>;

export function packFloats(values: Float32Array): string {
  const bytes = new DataView(new ArrayBuffer(values.length * 4));
  for (const [i, value] of values.entries()) bytes.setFloat32(i * 4, value, true);
  return btoa(String.fromCharCode(...new Uint8Array(bytes.buffer)));
}

/** Throws `bad_request` unless they are `dimension` floats of length one. */
export function unpackUnitVector(packed: string, dimension: number): Float32Array {
  const text = atob(packed);
  if (text.length !== dimension * 4)
    throw new HarnessError('bad_request', `vector.values: expected ${dimension * 4} bytes, got ${text.length}.`);
  const bytes = new DataView(Uint8Array.from(text, (char) => char.charCodeAt(0)).buffer);
  const vector = Float32Array.from({ length: dimension }, (_, i) => bytes.getFloat32(i * 4, true));
  const length = Math.hypot(...vector);
  // Written so that NaN is refused too.
  if (!(Math.abs(length - 1) < 1e-3))
    throw new HarnessError('bad_request', `vector.values: expected a vector of length 1, got one of length ${length}.`);
  return vector;
}
