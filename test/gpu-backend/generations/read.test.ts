import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readRows, readVectors } from '../../../gpu-backend/generations/read.ts';
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
  const read = (bytes: Uint8Array) => readVectors(bytes, { path: 'x', count: 2, dimension: 3 });

  it('are read wherever their bytes begin', () => {
    for (const offset of [0, 1, 2]) {
      const held = new Uint8Array(image().length + offset);
      held.set(image(), offset);
      const rows = read(held.subarray(offset));
      expect([rows.count, rows.dimension, ...rows.unit(1)]).toEqual([2, 3, 0, -1, 0]);
    }
  });

  it('are refused in another shape or type, with both', () => {
    for (const [change, got] of [
      [{ shape: [3, 2] }, 'I16 [3, 2]'],
      [{ shape: [1, 6] }, 'I16 [1, 6]'],
      [{ shape: [2, 1, 3] }, 'I16 [2, 1, 3]'],
      [{ shape: [1, 3], data: new Uint8Array(6) }, 'I16 [1, 3]'],
      [{ dtype: 'F16' }, 'F16 [2, 3]'],
    ] as [Partial<SafeTensor>, string][])
      expect(() => read(image(change))).toThrow(`x: expected vectors I16 [2, 3], got ${got}; build a new generation.`);
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
