/** On what the encoder runs, in what precision, and why; what a GPU answers is what the CPU answers, where there is one. */
import { rm } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, loadBundle } from '../../../gpu-backend/encoder/bundle.ts';
import type { DeviceName } from '../../../gpu-backend/encoder/encoder.ts';
import { openSession } from '../../../gpu-backend/encoder/ort.ts';
import { createEncoder } from '../../../gpu-backend/encoder/pool.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { tinyBundle } from '../../fixtures/tiny-bundle.ts';

const at = testFolder('device');
const TEXTS = ['sofa', 'red sofa', 'a small red car with four doors', 'zyx'];
let bundle: Bundle;
beforeAll(async () => {
  bundle = await tinyBundle({ dir: at('bundle'), words: ['red', 'sofa', 'car'], half: true });
});

const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
/** The same bundle, as if its student were int8. */
const asInt8 = ({ manifest, paths }: Bundle) => ({
  manifest: { ...manifest, student: { ...manifest.student, precision: 'int8' as const } },
  paths,
});
async function encode(options: Parameters<typeof createEncoder>[0]) {
  const encoder = await createEncoder({ workers: 1, ...options });
  const { vectors } = await encoder.encode(TEXTS);
  await encoder.close();
  return { device: encoder.device, vectors };
}

it('runs the student of the manifest on the CPU, though there is one in fp16', async () => {
  const { device } = await encode({ bundle: asInt8(bundle), device: 'cpu' });
  expect(device).toEqual({ requested: 'cpu', provider: 'cpu', precision: 'int8' });
});

describe.each(['cuda', 'webgpu'] as const)('asked for %s', (requested) => {
  it('runs the fp16 student there and answers what the CPU answers, or says why not', async ({ skip }) => {
    const [there, here] = [await encode({ bundle: asInt8(bundle), device: requested }), await encode({ bundle })];
    for (const [i, vector] of there.vectors.entries()) expect(cosine(vector, here.vectors[i]!)).toBeGreaterThan(0.999);
    if (there.device.provider === 'cpu') {
      expect(there.device).toMatchObject({ requested, precision: 'int8' });
      expect(there.device.reason).toMatch(new RegExp(`^${requested} did not start: \\S`));
      skip(`not compared there: ${there.device.reason}`);
    } else expect(there.device).toEqual({ requested, provider: requested, precision: 'fp16' });
  });

  it('does not try with an int8 student alone, which GPUs have no kernels for', async () => {
    const { manifest, paths } = asInt8(bundle);
    const { studentFp16: _, ...rest } = manifest;
    const { device } = await encode({ bundle: { manifest: rest, paths }, device: requested });
    expect(device).toMatchObject({ requested, provider: 'cpu', precision: 'int8' });
    expect(device.reason).toMatch(/student\.onnx has no fp16 student beside the int8 one/);
  });
});

it('does not take the CPU for a provider that the runtime does not have', async () => {
  const { dimension } = bundle.manifest;
  const requested = 'nowhere' as DeviceName;
  const half = bundle.paths.studentFp16!;
  const options = {
    name: 'student',
    model: bundle.paths.student,
    half,
    precision: 'int8',
    threads: 1,
    dimension,
  } as const;
  const session = await openSession({ ...options, requested });
  expect(session.device).toMatchObject({ requested, provider: 'cpu', precision: 'int8' });
  expect(session.device.reason).toMatch(/^nowhere did not start: .*no available backend/);
  await session.release();
});

it('reads the fp16 student as the recipe writes it: int64 in, float32 out', async () => {
  const { dimension } = bundle.manifest;
  const options = { name: 'student', requested: 'cpu', threads: 1, dimension } as const;
  const half = await openSession({ ...options, model: bundle.paths.studentFp16!, precision: 'fp16' });
  const whole = await openSession({ ...options, model: bundle.paths.student, precision: 'fp32' });
  const [ids, mask] = [BigInt64Array.of(2n, 40n, 41n, 3n), BigInt64Array.of(1n, 1n, 1n, 1n)];
  const [a, b] = [
    await half.run(ids, mask, { batch: 1, tokens: 4 }),
    await whole.run(ids, mask, { batch: 1, tokens: 4 }),
  ];
  expect(cosine(a, b)).toBeGreaterThan(0.9999);
  expect(a).not.toEqual(b);
  await Promise.all([half.release(), whole.release()]);
});

it('checks the fp16 student like every other file', async () => {
  const other = await tinyBundle({ dir: at('without'), half: true });
  await rm(other.paths.studentFp16!);
  await expect(loadBundle(other.dir)).rejects.toMatchObject({
    code: 'bundle_damaged',
    message: expect.stringContaining('student.fp16.onnx'),
  });
});
