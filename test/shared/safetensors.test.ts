import { describe, expect, test } from 'vitest';
import {
  fromFloat32,
  readSafetensors,
  type SafeTensor,
  toFloat32,
  writeSafetensors,
} from '../../shared/safetensors.ts';

const floats = fromFloat32(Float32Array.of(1, -2.5, 3e-8, 4), [2, 2]);
const file = writeSafetensors({
  tensors: new Map([
    ['odd', { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) } satisfies SafeTensor],
    ['w', floats],
  ]),
  metadata: { spaceId: 'x' },
});

test('round trip, also at unaligned offsets', () => {
  const { tensors, metadata } = readSafetensors(file);
  expect(metadata).toEqual({ spaceId: 'x' });
  expect([...tensors.get('odd')!.data]).toEqual([1, 2, 3]);
  expect([...toFloat32(tensors.get('w')!)]).toEqual([1, -2.5, Math.fround(3e-8), 4]);
  const shifted = new Uint8Array(file.length + 1).subarray(1);
  shifted.set(file);
  expect([...toFloat32(readSafetensors(shifted).tensors.get('w')!)]).toEqual([1, -2.5, Math.fround(3e-8), 4]);
});

test('half and bfloat16 are widened exactly', () => {
  const f16 = {
    dtype: 'F16',
    shape: [5],
    data: new Uint8Array(Uint16Array.of(0x3c00, 0xc100, 0x0001, 0x7c00, 0x8000).buffer),
  } satisfies SafeTensor;
  expect([...toFloat32(f16)]).toEqual([1, -2.5, 2 ** -24, Number.POSITIVE_INFINITY, -0]);
  const bf16 = {
    dtype: 'BF16',
    shape: [2],
    data: new Uint8Array(Uint16Array.of(0x3f80, 0xc020).buffer),
  } satisfies SafeTensor;
  expect([...toFloat32(bf16)]).toEqual([1, -2.5]);
  expect(() => toFloat32({ dtype: 'I8', shape: [1], data: Uint8Array.of(1) })).toThrow(/floating-point/);
});

describe('a damaged file is refused', () => {
  const huge = file.slice();
  huge.set([255, 255, 255, 255, 255, 255, 255, 255]);
  const header = file.slice();
  header[8] = 0;
  const text = '{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}}';
  const twoBytes = Uint8Array.of(text.length, ...new Uint8Array(7), ...new TextEncoder().encode(text), 1, 2);
  test.each([
    ['more bytes than its shape has', twoBytes],
    ['empty', new Uint8Array(0)],
    ['truncated data', file.subarray(0, file.length - 1)],
    ['truncated header', file.subarray(0, 20)],
    ['absurd header length', huge],
    ['broken JSON', header],
  ])('%s', (_, bytes) => expect(() => readSafetensors(bytes, 'f')).toThrow(/^f: not a whole safetensors file/));
});
