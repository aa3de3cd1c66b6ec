import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { withTensorFile } from '../../../gpu-backend/index/tensor-file.ts';
import { fromFloat32, readSafetensors, writeSafetensors } from '../../../shared/safetensors.ts';
import { testFolder } from '../../fixtures/folder.ts';

const at = testFolder('tensor-file');
const path = at('file.safetensors');
const image = writeSafetensors({
  tensors: new Map([
    ['odd', { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
    ['w', fromFloat32(Float32Array.of(1, -2.5), [2])],
    // More than is read at a time.
    ['long', { dtype: 'U8', shape: [5_000_000], data: Uint8Array.from({ length: 5_000_000 }, (_, i) => i % 251) }],
  ]),
  metadata: { spaceId: 'x' },
});

it('reads what a whole image says, also into memory that threads share', async () => {
  writeFileSync(path, image);
  const whole = readSafetensors(image);
  await withTensorFile(path, async ({ tensors, metadata, fill }) => {
    expect(metadata).toEqual(whole.metadata);
    expect([...tensors.keys()]).toEqual([...whole.tensors.keys()]);
    for (const [name, { dtype, shape, data }] of whole.tensors) {
      const place = tensors.get(name)!;
      expect([place.dtype, place.shape, place.bytes]).toEqual([dtype, shape, data.byteLength]);
      const target = new Uint8Array(new SharedArrayBuffer(place.bytes));
      await fill(target, place.from);
      expect(Buffer.compare(target, data)).toBe(0);
    }
  });
});

it('refuses what is no whole file, as an image of it is refused', async () => {
  const claims = image.slice();
  new DataView(claims.buffer).setBigUint64(0, 2n ** 60n, true);
  const unreadable = image.slice();
  unreadable[8] = 0x58;
  for (const damaged of [new Uint8Array(), image.subarray(0, 7), image.subarray(0, -1), claims, unreadable]) {
    writeFileSync(path, damaged);
    let refused: unknown;
    try {
      readSafetensors(damaged, path);
    } catch (error) {
      refused = error;
    }
    await expect(withTensorFile(path, () => expect.unreachable())).rejects.toEqual(refused);
    expect(refused).toMatchObject({ code: 'bundle_damaged' });
  }
});

it('says where a file ends that was cut after it was opened', async () => {
  writeFileSync(path, image);
  await withTensorFile(path, async ({ tensors, fill }) => {
    const { from } = tensors.get('odd')!;
    writeFileSync(path, image.subarray(0, from + 2));
    await expect(fill(new Uint8Array(3), from)).rejects.toThrow(
      `${path}: expected 3 bytes at ${from}, the file ends after 2 of them.`,
    );
  });
});
