/** The two data files of a generation, read back. */
import { createReadStream } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HarnessError } from '../../shared/problem.ts';
import { fitsSimd, zeroRows } from '../index/simd-rows.ts';
import { withTensorFile } from '../index/tensor-file.ts';
import { int16Rows, type VectorRows } from '../index/vector-rows.ts';
import type { GenerationAd } from './layout.ts';

/** Read at a time: some hundred ads, which take the thread for some milliseconds. */
const PIECE = 1 << 18;

/**
 * Lines of ads.jsonl in row order, piece by piece: a million ads are more than one string can hold. They were valid when
 * written, and the file's digest says that they still are.
 */
export async function eachRow(path: string, take: (row: GenerationAd) => void): Promise<void> {
  let rest = '';
  for await (const piece of createReadStream(path, {
    encoding: 'utf8',
    highWaterMark: PIECE,
  }) as AsyncIterable<string>) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    for (const line of lines) take(JSON.parse(line));
    await nextTurn();
  }
  if (rest !== '') take(JSON.parse(rest));
}

/** {@link eachRow}, all of them. */
export async function readRows(path: string): Promise<GenerationAd[]> {
  const rows: GenerationAd[] = [];
  await eachRow(path, (row) => rows.push(row));
  return rows;
}

/** Bytes of vectors read and copied at a time: half a millisecond. */
const BLOCK = 1 << 20;

/**
 * The rows of vectors.safetensors, and the space they are of; read block by block to where they are searched. Throws
 * `bundle_damaged` when they are not [count, dimension] int16.
 */
export function readVectors(
  path: string,
  { count, dimension }: { count: number; dimension: number },
): Promise<{ rows: VectorRows; spaceId: string | undefined }> {
  return withTensorFile(path, async ({ tensors, metadata: { spaceId }, fill }) => {
    const tensor = tensors.get('vectors');
    const [rows, width] = tensor?.shape ?? [];
    if (tensor?.dtype !== 'I16' || rows !== count || width !== dimension) {
      throw new HarnessError(
        'bundle_damaged',
        `${path}: expected vectors I16 [${count}, ${dimension}], got ${tensor?.dtype ?? 'none'} [${tensor?.shape.join(', ') ?? ''}]; build a new generation.`,
      );
    }
    const bytesOf = (matrix: Int16Array) => new Uint8Array(matrix.buffer, matrix.byteOffset, matrix.byteLength);
    if (!fitsSimd(count, dimension)) {
      const matrix = new Int16Array(count * dimension);
      await fill(bytesOf(matrix), tensor.from);
      return { rows: int16Rows(matrix, dimension), spaceId };
    }
    const simd = zeroRows(count, dimension);
    const block = new Int16Array(dimension * Math.min(count, Math.ceil(BLOCK / (2 * dimension))));
    for (let row = 0; row < count; row += block.length / dimension) {
      const part = block.subarray(0, (count - row) * dimension);
      await fill(bytesOf(part), tensor.from + 2 * row * dimension);
      simd.set(row, part);
    }
    return { rows: simd, spaceId };
  });
}
