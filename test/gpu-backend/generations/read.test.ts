import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readRows, readVectors } from '../../../gpu-backend/generations/read.ts';
import { simdRows } from '../../../gpu-backend/index/simd-rows.ts';
import { int16Rows } from '../../../gpu-backend/index/vector-rows.ts';
import { type SafeTensor, writeSafetensors } from '../../../shared/safetensors.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { sampleAd } from '../../setup/samples.ts';

const at = testFolder('read');

describe('the vectors of a generation', () => {
  const data = Int16Array.of(32_767, 0, 0, 0, -32_767, 0);
  const image = (change: Partial<SafeTensor> = {}) => {
    const tensor: SafeTensor = { dtype: 'I16', shape: [2, 3], data: new Uint8Array(data.buffer), ...change };
    return writeSafetensors({ tensors: new Map([['vectors', tensor]]), metadata: {} });
  };
  const path = at('vectors');
  const read = (bytes: Uint8Array) => {
    writeFileSync(path, bytes);
    return readVectors(path, { count: 2, dimension: 3 });
  };

  it('are read with the space that they are of', async () => {
    const { rows, spaceId } = await read(image());
    expect([rows.count, rows.dimension, ...rows.unit(1), spaceId]).toEqual([2, 3, 0, -1, 0, undefined]);
    const tensors = new Map([['vectors', { dtype: 'I16', shape: [0, 3], data: new Uint8Array() } as SafeTensor]]);
    writeFileSync(path, writeSafetensors({ tensors, metadata: { spaceId: 'x' } }));
    const none = await readVectors(path, { count: 0, dimension: 3 });
    expect([none.rows.count, none.spaceId]).toEqual([0, 'x']);
  });

  it.each([8, 32])('are the same read in many blocks, of %i components', async (dimension) => {
    // Twice what is read at a time, and a bit.
    const count = Math.ceil((2.1 * 2 ** 20) / (2 * dimension));
    const matrix = Int16Array.from({ length: count * dimension }, (_, i) => ((i * 2_654_435_761) >>> 8) % 4_001);
    const tensor: SafeTensor = { dtype: 'I16', shape: [count, dimension], data: new Uint8Array(matrix.buffer) };
    writeFileSync(path, writeSafetensors({ tensors: new Map([['vectors', tensor]]), metadata: {} }));
    const { rows } = await readVectors(path, { count, dimension });
    const plain = int16Rows(matrix, dimension);
    const whole = simdRows(matrix, dimension);
    const query = plain.unit(7);
    const all = Int32Array.from({ length: count }, (_, row) => row);
    const scores = [rows, whole].map((of) => {
      const found = new Float64Array(count);
      of.scorer(query)(all, count, found);
      return found;
    });
    expect(Buffer.compare(Buffer.from(scores[0]!.buffer), Buffer.from(scores[1]!.buffer))).toBe(0);
    expect(rows.unit(count - 1)).toEqual(whole.unit(count - 1));
  });

  it('are refused in another shape or type, with both', async () => {
    for (const [change, got] of [
      [{ shape: [3, 2] }, 'I16 [3, 2]'],
      [{ shape: [1, 6] }, 'I16 [1, 6]'],
      [{ shape: [2, 1, 3] }, 'I16 [2, 1, 3]'],
      [{ shape: [1, 3], data: new Uint8Array(6) }, 'I16 [1, 3]'],
      [{ dtype: 'F16' }, 'F16 [2, 3]'],
    ] as [Partial<SafeTensor>, string][])
      await expect(read(image(change))).rejects.toThrow(
        `${path}: expected vectors I16 [2, 3], got ${got}; build a new generation.`,
      );
  });
});

it('lines are read whole, wherever a piece of the file ends, in any script', async () => {
  // Some 400 kB, read in pieces of 256: one ends within a line, and somewhere within a character of several bytes.
  const rows = Array.from({ length: 200 }, (_, revision) => ({
    ...{ revision, source: 'bundle' as const },
    ad: sampleAd({ id: `ad-${revision}`, description: '靴とスニーカー👟'.repeat(60) }),
  }));
  for (const shift of [0, 1, 2, 3]) {
    const lines = rows.map((row, i) => JSON.stringify(i === 0 ? { ...row, revision: 10 ** shift } : row));
    writeFileSync(at('ads.jsonl'), `${lines.join('\n')}\n`);
    const found = await readRows(at('ads.jsonl'));
    expect(found.slice(1)).toEqual(rows.slice(1));
    expect(found).toHaveLength(200);
  }
});
