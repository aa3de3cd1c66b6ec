/**
 * A safetensors file whose tensors are read to where they are used, piece by piece: others run in between, and no second
 * copy of a large one is ever held.
 */
import { open } from 'node:fs/promises';
import { HarnessError } from '../../shared/problem.ts';
import { headerEnd, LENGTH_BYTES, readHead, type TensorPlace } from '../../shared/safetensors.ts';

/** Bytes read at a time; where they are copied too, that takes a millisecond. */
const PIECE = 1 << 22;

export interface TensorFile {
  tensors: ReadonlyMap<string, TensorPlace>;
  metadata: Readonly<Record<string, string>>;
  /** Reads the bytes from `from` on into `target`, which may be shared memory. Throws `bundle_damaged` where the file ends before. */
  fill(target: Uint8Array, from: number): Promise<void>;
}

/** Opens the file for as long as `use` takes. Throws `bundle_damaged` when it is not a whole one. */
export async function withTensorFile<T>(path: string, use: (file: TensorFile) => Promise<T>): Promise<T> {
  const handle = await open(path, 'r');
  try {
    const fill: TensorFile['fill'] = async (target, from) => {
      for (let at = 0; at < target.byteLength; ) {
        const { bytesRead } = await handle.read(target, at, Math.min(PIECE, target.byteLength - at), from + at);
        if (bytesRead === 0) {
          throw new HarnessError(
            'bundle_damaged',
            `${path}: expected ${target.byteLength} bytes at ${from}, the file ends after ${at} of them.`,
          );
        }
        at += bytesRead;
      }
    };
    const of = { name: path, fileBytes: (await handle.stat()).size };
    const first = new Uint8Array(LENGTH_BYTES);
    if (of.fileBytes >= LENGTH_BYTES) await fill(first, 0);
    const head = new Uint8Array(headerEnd(first, of));
    await fill(head, 0);
    return await use({ ...readHead(head, of), fill });
  } finally {
    await handle.close();
  }
}
