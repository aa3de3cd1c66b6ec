/** linear.wat: what is committed is what it says, and what it says is right. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linearOver, memoryOf } from '../../../edge/student/kernel.ts';
import { assemble } from '../../../scripts/assemble.ts';
import { KERNEL, KERNEL_BYTES } from '../../fixtures/linear-kernel.ts';
import { uniforms } from '../../fixtures/random.ts';

const text = readFileSync('edge/student/linear.wat', 'utf8');

it('the committed linear.wasm is linear.wat, assembled', () => {
  expect(Buffer.from(assemble(text)).equals(KERNEL_BYTES), 'run node scripts/assemble.ts').toBe(true);
});

it('the assembler names what it does not know', () => {
  expect(() => assemble(text.replaceAll('i32x4.add', 'i32x4.sub'))).toThrow(/got i32x4.sub/);
  expect(() => assemble(text.replace('$steps (i32.lt_u', '$stops (i32.lt_u'))).toThrow(/got \$stops/);
});

describe('linear', () => {
  const memory = memoryOf(1 << 20);
  const linear = linearOver(memory, KERNEL);
  const [X, W, SCALE, BIAS, OUT] = [16, 200_001, 400_003, 500_005, 600_000];

  it('is the product in integers, scaled, with a bias, for any whole shape; weights at any byte', () => {
    const shapes = fc.record({
      rows: fc.integer({ min: 1, max: 9 }),
      k: fc.integer({ min: 1, max: 40 }).map((half) => 2 * half),
      n: fc.integer({ min: 1, max: 4 }).map((blocks) => 16 * blocks),
      seed: fc.integer(),
      extreme: fc.boolean(),
    });
    fc.assert(
      fc.property(shapes, ({ rows, k, n, seed, extreme }) => {
        const random = uniforms(seed);
        const between = (low: number, high: number) =>
          extreme ? (random() < 0.5 ? low : high) : Math.round(low + random() * (high - low));
        const x = Int16Array.from({ length: rows * k }, () => between(-255, 255));
        const w = Int8Array.from({ length: k * n }, () => between(-128, 127));
        const [scale, bias] = [0, 1].map(() => Float32Array.from({ length: n }, () => random() - 0.5)) as [
          Float32Array,
          Float32Array,
        ];
        const put = (address: number, { buffer }: { buffer: ArrayBufferLike }) =>
          new Uint8Array(memory.buffer).set(new Uint8Array(buffer), address);
        for (const [address, values] of [
          [X, x],
          [W, w],
          [SCALE, scale],
          [BIAS, bias],
        ] as const)
          put(address, values);
        linear(X, 0.25, W, SCALE, BIAS, OUT, rows, k, n);
        const expected = new Float32Array(rows * n);
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < n; column++) {
            let sum = 0;
            for (let i = 0; i < k; i++) sum += x[row * k + i]! * w[i * n + column]!;
            const scaled = Math.fround(Math.fround(sum) * Math.fround(0.25 * scale[column]!));
            expected[row * n + column] = scaled + bias[column]!;
          }
        }
        expect(new Float32Array(memory.buffer, OUT, rows * n)).toEqual(expected);
      }),
    );
  });
});
