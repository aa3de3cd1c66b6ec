/** The two data files of a generation, read back. */
import { createReadStream } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HarnessError } from '../../shared/problem.ts';
import { readSafetensors } from '../../shared/safetensors.ts';
import { fitsSimd, simdRows } from '../index/simd-rows.ts';
import { int16Rows, type VectorRows } from '../index/vector-rows.ts';
import type { GenerationAd } from './layout.ts';

/** Read at a time: some hundred ads, which take the thread for some milliseconds. */
const PIECE = 1 << 18;

/**
 * Lines of ads.jsonl in row order, piece by piece: a million ads are more than one string can hold. They were valid when
 * written, and the file's digest says that they still are.
 */
export async function readRows(path: string): Promise<GenerationAd[]> {
  const rows: GenerationAd[] = [];
  let rest = '';
  for await (const piece of createReadStream(path, {
    encoding: 'utf8',
    highWaterMark: PIECE,
  }) as AsyncIterable<string>) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    for (const line of lines) rows.push(JSON.parse(line));
    await nextTurn();
  }
  if (rest !== '') rows.push(JSON.parse(rest));
  return rows;
}

/** The rows of vectors.safetensors; throws `bundle_damaged` when they are not [count, dimension] int16. */
export function readVectors(
  image: Uint8Array,
  { path, count, dimension }: { path: string; count: number; dimension: number },
): VectorRows {
  const tensor = readSafetensors(image, path).tensors.get('vectors');
  const [rows, width] = tensor?.shape ?? [];
  if (tensor?.dtype !== 'I16' || rows !== count || width !== dimension) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected vectors I16 [${count}, ${dimension}], got ${tensor?.dtype ?? 'none'} [${tensor?.shape.join(', ') ?? ''}]; build a new generation.`,
    );
  }
  // Not slice(): on a Node Buffer that is a view.
  const data = tensor.data.byteOffset % 2 === 0 ? tensor.data : new Uint8Array(tensor.data);
  const matrix = new Int16Array(data.buffer, data.byteOffset, count * dimension);
  return fitsSimd(count, dimension) ? simdRows(matrix, dimension) : int16Rows(matrix, dimension);
}
