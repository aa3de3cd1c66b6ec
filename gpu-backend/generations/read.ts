/** The two data files of a generation, read back. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HarnessError } from '../../shared/problem.ts';
import { readSafetensors } from '../../shared/safetensors.ts';
import { int8Rows, type VectorRows } from '../index/vector-rows.ts';
import type { GenerationAd } from './layout.ts';

/**
 * Lines of ads.jsonl in row order, letting others run in between. They were valid when written, and the file's digest says
 * that they still are.
 */
export async function readRows(jsonl: string): Promise<GenerationAd[]> {
  const rows: GenerationAd[] = [];
  for (let from = 0; from < jsonl.length; ) {
    const end = jsonl.indexOf('\n', from);
    const to = end < 0 ? jsonl.length : end;
    if (to > from) rows.push(JSON.parse(jsonl.slice(from, to)));
    from = to + 1;
    if (rows.length % 1000 === 0) await nextTurn();
  }
  return rows;
}

/** The rows of vectors.safetensors; throws `bundle_damaged` when they are not [count, dimension] int8. */
export function readVectors(
  image: Uint8Array,
  { path, count, dimension }: { path: string; count: number; dimension: number },
): VectorRows {
  const tensor = readSafetensors(image, path).tensors.get('vectors');
  const [rows, width] = tensor?.shape ?? [];
  if (tensor?.dtype !== 'I8' || rows !== count || width !== dimension) {
    throw new HarnessError(
      'bundle_damaged',
      `${path}: expected vectors I8 [${count}, ${dimension}], got ${tensor?.dtype ?? 'none'} [${tensor?.shape.join(', ') ?? ''}]; build a new generation.`,
    );
  }
  const { data } = tensor;
  return int8Rows(new Int8Array(data.buffer, data.byteOffset, data.byteLength), dimension);
}
