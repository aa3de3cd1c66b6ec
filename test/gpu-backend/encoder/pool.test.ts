import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, loadBundle } from '../../../gpu-backend/encoder/bundle.ts';
import { cachedEncoder } from '../../../gpu-backend/encoder/cached.ts';
import { createEncoder } from '../../../gpu-backend/encoder/pool.ts';
import { encoderConformance } from '../../conformance/encoder.ts';
import { fallingWorkers } from '../../fixtures/falling-worker.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { HOLD, holdWorkers } from '../../fixtures/held-worker.ts';
import { stillbornWorkers } from '../../fixtures/stillborn-worker.ts';
import { tinyBundle } from '../../fixtures/tiny-bundle.ts';
import { watchedWorkers } from '../../fixtures/watched-worker.ts';

const at = testFolder('encoder');
const TEXTS = [
  'sofa',
  'red leather sofa',
  'car',
  'a small red car with four doors and a spare wheel under the boot',
  'green apple green apple green apple green apple',
  'zyx',
];
const WORDS = ['red', 'leather', 'car', 'small', 'with', 'four', 'green', 'apple'];
let bundle: Bundle;

beforeAll(async () => {
  bundle = await tinyBundle({ dir: at('bundle'), words: WORDS, synonyms: [['sofa', 'couch']] });
});

encoderConformance({
  name: 'the pool of one worker',
  open: () => createEncoder({ bundle, workers: 1 }),
  texts: TEXTS,
  maxTokens: 32,
});
encoderConformance({
  name: 'the pool of two workers with a small token budget',
  open: () => createEncoder({ bundle, workers: 2, tokenBudget: 12 }),
  texts: TEXTS,
  maxTokens: 32,
});

describe('createEncoder', () => {
  it('puts synonyms near each other, as the fixture promises', async () => {
    const encoder = await createEncoder({ bundle, workers: 1 });
    const [sofa, couch, car] = (await encoder.encode(['sofa', 'couch', 'car'])).vectors;
    const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    expect(cosine(sofa!, couch!)).toBeGreaterThan(0.9);
    expect(cosine(sofa!, car!)).toBeLessThan(0.7);
    await encoder.close();
  });

  it('reads queries as the bundle spells them', async () => {
    const spelling = { suggested: 'leather sofa', known: '' };
    const spelled = await tinyBundle({ dir: at('spelled'), words: WORDS, synonyms: [['sofa', 'couch']], spelling });
    const encoder = await createEncoder({ bundle: spelled, workers: 1 });
    const [meant, typed] = (await encoder.encode(['red leather sofa', 'red lether sfoa'])).vectors;
    expect(typed).toEqual(meant);
    await encoder.close();
  });

  it('is warm when it is open: what it runs by then is as small and as large as anything that it runs later', async () => {
    const { workerUrl, runs } = watchedWorkers();
    const encoder = await createEncoder({ bundle, workers: 1, workerUrl });
    expect(runs()).toMatchObject({ after: { least: 0, largest: 0 } });
    await Promise.all(TEXTS.map((text) => encoder.encode([text])));
    await encoder.encode([...Array(200).keys()].map((i) => `${TEXTS[i % TEXTS.length]} `.repeat(1 + (i % 9))));
    await encoder.close();
    const { before, after } = runs();
    expect(after.largest).toBeGreaterThan(100);
    expect(before.largest).toBeGreaterThanOrEqual(after.largest);
    expect(before.least).toBeGreaterThan(0);
    expect(before.least).toBeLessThanOrEqual(after.least);
  });

  it.each(['cuda', 'webgpu'] as const)('asked for %s, runs on it, or on the CPU and says why', async (device) => {
    const encoder = await createEncoder({ bundle, device, workers: 1 });
    expect(encoder.device.requested).toBe(device);
    if (encoder.device.provider === 'cpu') expect(encoder.device.reason).toContain(`${device} did not start`);
    else expect(encoder.device.provider).toBe(device);
    expect((await encoder.encode(['sofa'])).vectors[0]).toHaveLength(32);
    await encoder.close();
  });

  it('is where its workers are by now: another device than the one asked for is told of any of them', async () => {
    const fallen: string[] = [];
    const encoder = await createEncoder({
      ...{ bundle, workers: 1, device: 'webgpu', workerUrl: fallingWorkers() },
      onFallback: ({ provider, requested }) => fallen.push(`${provider}, not ${requested}`),
    });
    const cached = cachedEncoder(encoder, { maxBytes: 1_000 });
    expect([cached.device.provider, encoder.stats().fallbacks, fallen]).toEqual(['webgpu', 0, []]);
    await expect(encoder.encode(['please end'])).rejects.toThrow('The encoder lost a worker');
    await cached.encode(['sofa']);
    expect(cached.device).toMatchObject({ requested: 'webgpu', provider: 'cpu' });
    expect([encoder.stats().fallbacks, fallen]).toEqual([1, ['cpu, not webgpu']]);
    await cached.close();
  });

  it('replaces a worker that ends, failing only what it was computing', async () => {
    const reasons: string[] = [];
    const encoder = await createEncoder({
      bundle,
      workers: 1,
      workerUrl: new URL('../../fixtures/mortal-worker.ts', import.meta.url),
      onRestart: (why) => reasons.push(why),
    });
    const before = await encoder.encode(['sofa']);
    await expect(encoder.encode(['please end'])).rejects.toMatchObject({
      code: 'internal',
      message: 'The encoder lost a worker: exit code 3.',
    });
    const after = await encoder.encode(['sofa']);
    expect(after.vectors[0]).toEqual(before.vectors[0]);
    expect(reasons).toEqual(['exit code 3']);
    expect(encoder.stats().restarts).toBe(1);
    await encoder.close();
  });

  it('tries again where the replacement does not start either', async () => {
    const reasons: string[] = [];
    const encoder = await createEncoder({
      ...{ bundle, workers: 1, workerUrl: stillbornWorkers() },
      onRestart: (why) => reasons.push(why),
    });
    await expect(encoder.encode(['please end'])).rejects.toThrow('The encoder lost a worker');
    expect((await encoder.encode(['sofa'])).vectors).toHaveLength(1);
    expect(reasons).toEqual(['exit code 3', 'An encoder worker did not start: exit code 4.']);
    expect(encoder.stats().restarts).toBe(2);
    await encoder.close();
  });

  it('says so when it gives up, and answers nobody from then on', async () => {
    const encoder = await createEncoder({ bundle, workers: 1, device: 'webgpu', workerUrl: fallingWorkers() });
    for (let life = 0; life <= 20; life++) {
      expect(encoder.failure).toBeUndefined();
      await expect(encoder.encode(['please end'])).rejects.toThrow('The encoder lost a worker: exit code 3.');
    }
    const gaveUp = 'The encoder lost a worker: exit code 3 (and 20 replacements were used up).';
    expect(encoder.failure).toBe(gaveUp);
    await expect(encoder.encode(['sofa'])).rejects.toThrow(gaveUp);
    expect(encoder.device).toMatchObject({ requested: 'webgpu', provider: 'cpu' }); // as the last one had
    await encoder.close();
  });

  it('computes together what came while its worker was at work, and nothing of it that nobody wants any more', async () => {
    const { workerUrl, letGo } = holdWorkers();
    const encoder = await createEncoder({ bundle, workers: 1, workerUrl });
    const leaving = new AbortController();
    const kept = [HOLD, 'sofa', 'lamp'].map((text) => encoder.encode([text]));
    const gone = expect(encoder.encode(['chair'], { signal: leaving.signal })).rejects.toThrow('left');
    const deadlineAtMs = performance.timeOrigin + performance.now() + 1;
    const late = expect(encoder.encode(['table'], { deadlineAtMs })).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
    leaving.abort(new Error('left'));
    await gone;
    while (performance.timeOrigin + performance.now() <= deadlineAtMs);
    letGo();
    const [, sofa, lamp] = await Promise.all(kept);
    await late;
    expect(encoder.stats()).toMatchObject({ encoded: 3, batches: 1, cancelled: 1, expired: 1, running: 0, queued: 0 });
    const alone = await encoder.encode(['lamp', 'sofa']);
    expect([lamp, sofa].map((answer) => [answer!.vectors[0], answer!.tokens[0]])).toEqual(
      alone.vectors.map((vector, i) => [vector, alone.tokens[i]]),
    );
    await encoder.close();
  });

  it('refuses a model that the runtime cannot read', async () => {
    const damaged = await tinyBundle({ dir: at('damaged'), seed: 2 });
    await writeFile(damaged.paths.student, 'not a model');
    const promised = createHash('sha256').update('not a model').digest('hex');
    const { manifest } = damaged;
    const bundle = { ...damaged, manifest: { ...manifest, student: { ...manifest.student, sha256: promised } } };
    await expect(createEncoder({ bundle, workers: 1 })).rejects.toMatchObject({
      code: 'bundle_damaged',
      message: expect.stringContaining('the runtime refuses the model'),
    });
    // Another file than the one that was checked is not even tried.
    await expect(createEncoder({ bundle: damaged, workers: 1 })).rejects.toThrow(/student\.onnx: expected SHA-256/);
    await expect(loadBundle(damaged.dir)).rejects.toMatchObject({ code: 'bundle_damaged' });
  });
});
