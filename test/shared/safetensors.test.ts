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

test('a part of an array is written alone, data begin where 8 bytes align, and a file of no data is whole', () => {
  const part = fromFloat32(Float32Array.of(9, 1, 2, 9).subarray(1, 3), [2]);
  for (let length = 0; length < 8; length++) {
    const metadata = { note: 'x'.repeat(length) };
    const image = writeSafetensors({ tensors: new Map([['w', part]]), metadata });
    const { data } = readSafetensors(image).tensors.get('w')!;
    expect([data.byteOffset % 8, data.byteOffset + data.byteLength]).toEqual([0, image.byteLength]);
    // Memory of a Buffer is anywhere in a pool.
    const pooled = Buffer.concat([Buffer.from('!'), image]).subarray(1);
    for (const whole of [image, pooled])
      expect([...toFloat32(readSafetensors(whole).tensors.get('w')!)]).toEqual([1, 2]);
  }
  const none = { tensors: new Map(), metadata: {} };
  expect(readSafetensors(writeSafetensors(none))).toEqual(none);
});

test('half and bfloat16 are widened exactly, doubles rounded', () => {
  const f16 = {
    dtype: 'F16',
    shape: [6],
    data: new Uint8Array(Uint16Array.of(0x3c00, 0xc100, 0x0001, 0x7c00, 0x8000, 0x7e00).buffer),
  } satisfies SafeTensor;
  expect([...toFloat32(f16)]).toEqual([1, -2.5, 2 ** -24, Number.POSITIVE_INFINITY, -0, Number.NaN]);
  const bf16 = {
    dtype: 'BF16',
    shape: [2],
    data: new Uint8Array(Uint16Array.of(0x3f80, 0xc020).buffer),
  } satisfies SafeTensor;
  expect([...toFloat32(bf16)]).toEqual([1, -2.5]);
  const f64 = { dtype: 'F64', shape: [2], data: new Uint8Array(Float64Array.of(0.1, -3).buffer) } satisfies SafeTensor;
  expect([...toFloat32(f64)]).toEqual([Math.fround(0.1), -3]);
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
