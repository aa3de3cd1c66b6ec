/** A large file read straight to where it is kept, through one small buffer, so that it is in memory only once. */
import { HarnessError } from '../../shared/problem.ts';

/** Bytes on their way at once: hardly any memory, and few calls. */
const PIECE_BYTES = 262_144;

/** As much of a reader into a buffer of the caller's as is used here; the Worker's types do not know `min`. */
interface PieceReader {
  read(into: Uint8Array, options: { min: number }): Promise<{ done: boolean; value?: Uint8Array<ArrayBuffer> }>;
  cancel(): Promise<void>;
}

/**
 * Fills `target` from its start with the bytes of `body`; what the file leaves of it stays as it is. `arrayBuffer()` would hold a
 * file twice more while it is read, and its memory stays with the process; a reader without a buffer gets thousands of small ones.
 *
 * @param body that of a file, which brings bytes. Throws `bundle_damaged`, naming the file, for more than fit.
 */
export async function readInto(target: Uint8Array, body: Response['body'], file: string): Promise<void> {
  if (body === null) return;
  const reader = body.getReader({ mode: 'byob' }) as PieceReader;
  let piece = new Uint8Array(PIECE_BYTES);
  for (let at = 0; ; ) {
    // The end comes by itself or, as the standard has it, with the last bytes.
    const { value = new Uint8Array(), done } = await reader.read(piece, { min: piece.length });
    if (at + value.length > target.length) {
      await reader.cancel();
      throw new HarnessError(
        'bundle_damaged',
        `${file}: expected ${target.length} bytes, got more; deploy the bundle again.`,
      );
    }
    target.set(value, at);
    at += value.length;
    if (done) return;
    // The buffer moves: the view that was handed over has lost it.
    piece = new Uint8Array(value.buffer);
  }
}
