import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Bundle } from '../../../gpu-backend/encoder/bundle.ts';
import { cachedEncoder } from '../../../gpu-backend/encoder/cached.ts';
import type { Encoder } from '../../../gpu-backend/encoder/encoder.ts';
import { createEncoder } from '../../../gpu-backend/encoder/pool.ts';
import { swappableEncoder } from '../../../gpu-backend/encoder/swappable.ts';
import { encoderConformance } from '../../conformance/encoder.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { gatedEncoder } from '../../fixtures/gated-encoder.ts';
import { keptBytes } from '../../fixtures/kept-bytes.ts';
import { tinyBundle } from '../../fixtures/tiny-bundle.ts';

const at = testFolder('cached-encoder');
let bundle: Bundle;
beforeAll(async () => {
  bundle = await tinyBundle({ dir: at('bundle'), words: ['red', 'sofa', 'car'] });
});
const open = async (): Promise<Encoder> =>
  swappableEncoder(cachedEncoder(await createEncoder({ bundle, workers: 1 }), { maxBytes: 1e6 }));

encoderConformance({
  name: 'the pool behind a cache, ready to be exchanged',
  open,
  texts: ['sofa', 'red sofa', 'car', 'a small red car with four doors and a spare wheel under the boot', 'zyx'],
  maxTokens: 32,
});

/** A cache before an encoder that answers when told to. */
function setUp() {
  const gate = gatedEncoder();
  return { ...gate, encoder: cachedEncoder(gate.encoder, { maxBytes: 1e6 }) };
}

describe('cachedEncoder', () => {
  it('computes a text once, for those who ask meanwhile and for those who ask later', async () => {
    const { encoder, calls, answer } = setUp();
    const together = [encoder.encode(['sofa']), encoder.encode(['car', 'sofa', 'car'])];
    expect(calls).toEqual([['sofa'], ['car']]);
    await answer(0);
    await answer(1);
    const [first, second] = await Promise.all(together);
    expect(second!.vectors.map(([length]) => length)).toEqual([3, 4, 3]);
    expect(second!.tokens).toEqual([3, 4, 3]);
    expect(second!.vectors[1]).toEqual(first!.vectors[0]);
    await encoder.encode(['sofa', 'car']);
    expect(calls).toHaveLength(2);
    expect(encoder.stats()).toMatchObject({ hits: 2, joined: 2, cachedTexts: 2 });
  });

  it('does not make others pay for a leader that goes away', async () => {
    const { encoder, calls, answer } = setUp();
    const leaving = new AbortController();
    const leader = encoder.encode(['sofa'], { signal: leaving.signal });
    const follower = encoder.encode(['sofa']);
    const gone = expect(leader).rejects.toThrow('left');
    leaving.abort(new Error('left'));
    await gone;
    await answer(1);
    expect((await follower).vectors[0]![0]).toBe(4);
    expect(calls).toEqual([['sofa'], ['sofa']]);
  });

  it('does not make others pay for a leader whose deadline passed, nor for a batch that failed', async () => {
    const { encoder, calls, answer, fail } = setUp();
    const leader = encoder.encode(['sofa', 'car']);
    const followers = [encoder.encode(['sofa']), encoder.encode(['sofa', 'car'])];
    const failed = expect(leader).rejects.toThrow('too late');
    await fail(0, new Error('too late'));
    await failed;
    // Both texts are computed once more, whoever asks for them first.
    expect(calls.slice(1).flat().toSorted()).toEqual(['car', 'sofa']);
    for (let i = 1; i < calls.length; i++) await answer(i);
    expect((await Promise.all(followers)).map(({ tokens }) => tokens)).toEqual([[4], [4, 3]]);
  });

  it('lets go of a follower at once, and of nothing else', async () => {
    const { encoder, calls, answer } = setUp();
    const leaving = new AbortController();
    const leader = encoder.encode(['sofa']);
    const follower = encoder.encode(['sofa'], { signal: leaving.signal });
    leaving.abort(new Error('left'));
    await expect(follower).rejects.toThrow('left');
    await answer(0);
    expect((await leader).tokens).toEqual([4]);
    expect(calls).toHaveLength(1);
  });

  it('lets nobody wait for another behind the own deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { encoder, calls, answer } = setUp();
    const leader = encoder.encode(['sofa']);
    const nowMs = performance.timeOrigin + performance.now();
    const patient = encoder.encode(['sofa'], { deadlineAtMs: nowMs + 1e12 });
    const follower = encoder.encode(['sofa', 'sofa'], { deadlineAtMs: nowMs + 20 });
    const late = expect(follower).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await vi.advanceTimersByTimeAsync(20);
    await late;
    await answer(0);
    expect([(await leader).tokens, (await patient).tokens, calls]).toEqual([[4], [4], [['sofa']]]);
    expect(encoder.stats()).toMatchObject({ expired: 1, joined: 1 });
  });

  it('keeps nothing of a text that it does not remember', async () => {
    const dimension = 384;
    const inner: Encoder = {
      ...gatedEncoder().encoder,
      dimension,
      async encode(texts) {
        await new Promise(setImmediate);
        return { vectors: texts.map(() => new Float32Array(dimension)), tokens: texts.map(() => 3) };
      },
    };
    const encoder = cachedEncoder(inner, { maxBytes: 1 });
    let asked = 0;
    const together = () => Promise.all(Array.from({ length: 20 }, () => encoder.encode([`text ${asked++}`])));
    await keptBytes(50, together);
    expect((await keptBytes(200, together)) / 20).toBeLessThan(600);
  });

  it('remembers no failure', async () => {
    const { encoder, answer, fail } = setUp();
    const failed = expect(encoder.encode(['sofa'])).rejects.toThrow('bad batch');
    await fail(0, new Error('bad batch'));
    await failed;
    const next = encoder.encode(['sofa']);
    await answer(1);
    expect((await next).tokens).toEqual([4]);
  });
});

describe('swappableEncoder', () => {
  it('sends new calls to the next encoder, whose memory is empty, and lets the one before finish', async () => {
    const [before, after] = [setUp(), setUp()];
    const encoder = swappableEncoder(before.encoder);
    const cached = encoder.encode(['car']);
    await before.answer(0);
    await cached;
    const running = encoder.encode(['sofa']);
    let drained = false;
    const swapped = encoder.swap(after.encoder).then(() => {
      drained = true;
    });
    const next = encoder.encode(['car']);
    expect([before.calls, after.calls]).toEqual([[['car'], ['sofa']], [['car']]]);
    await after.answer(0);
    await next;
    expect(drained).toBe(false);
    await before.answer(1);
    await Promise.all([running, swapped]);
    expect(before.closed()).toBe(true);
    expect(encoder.stats()).toMatchObject({ cachedTexts: 1, hits: 0 });
  });

  it('counts on over a swap', async () => {
    const [before, after] = [setUp(), setUp()];
    const encoder = swappableEncoder(before.encoder);
    const first = encoder.encode(['car']);
    await before.answer(0);
    await first;
    await encoder.encode(['car']);
    await encoder.swap(after.encoder);
    const second = encoder.encode(['car']);
    await after.answer(0);
    await second;
    expect(encoder.stats()).toMatchObject({ encoded: 2, hits: 1, queued: 0 });
  });

  it('closes an encoder that comes when it is closed itself: nobody else would', async () => {
    const [before, after] = [setUp(), setUp()];
    const encoder = swappableEncoder(before.encoder);
    await encoder.close();
    await expect(encoder.swap(after.encoder)).rejects.toMatchObject({ code: 'not_ready' });
    expect([before.closed(), after.closed()]).toEqual([true, true]);
  });

  it('refuses an encoder of another space by both names', async () => {
    const encoder = swappableEncoder(gatedEncoder().encoder);
    const other = gatedEncoder({ spaceId: 'feedfeedfeedfeed' }).encoder;
    await expect(encoder.swap(other)).rejects.toMatchObject({
      code: 'space_mismatch',
      message: expect.stringMatching(/feedfeedfeedfeed.*0123456789abcdef/),
    });
    expect(encoder.spaceId).toBe('0123456789abcdef');
  });
});
