import { describe, expect, it } from 'vitest';
import { encodeBeside } from '../../../gpu-backend/generations/encode-beside.ts';
import { HarnessError } from '../../../shared/problem.ts';
import { gatedEncoder } from '../../fixtures/gated-encoder.ts';

const full = new HarnessError('too_many_requests', 'full', { retryAfterSeconds: 0.001 });
const texts = Array.from({ length: 40 }, (_, i) => 'x'.repeat(i));

/** Begins, and collects what comes. */
function begin(encoder: ReturnType<typeof gatedEncoder>, options: { patient?: boolean; signal?: AbortSignal } = {}) {
  const found: number[] = [];
  const all = (async () => {
    const vectors = encodeBeside(encoder.encoder, { count: texts.length, textOf: (i) => texts[i]!, ...options });
    for await (const [length] of vectors) found.push(length!);
    return found;
  })();
  all.catch(() => {}); // looked at below
  return all;
}

describe('texts beside the queries', () => {
  it('are few at a time, and come back in their order', async () => {
    const gated = gatedEncoder();
    const all = begin(gated);
    for (const [call, size] of [16, 16, 8].entries()) {
      await expect.poll(() => gated.calls.length).toBe(call + 1);
      expect(gated.calls[call]).toHaveLength(size);
      await gated.answer(call);
    }
    expect(await all).toEqual(texts.map(({ length }) => length));
  });

  it('are asked again where the queue is full, if there is time; otherwise that is said', async () => {
    const hurried = gatedEncoder();
    const refused = begin(hurried);
    await hurried.fail(0, full);
    await expect(refused).rejects.toBe(full);

    const gated = gatedEncoder();
    const all = begin(gated, { patient: true });
    for (const [call, answer] of [false, false, true, false, true, true].entries()) {
      await expect.poll(() => gated.calls.length).toBe(call + 1);
      await (answer ? gated.answer(call) : gated.fail(call, full));
    }
    expect(await all).toEqual(texts.map(({ length }) => length));

    for (const error of [new Error('broken'), new HarnessError('not_ready', 'closed')]) {
      const failed = gatedEncoder();
      const other = begin(failed, { patient: true });
      await failed.fail(0, error);
      await expect(other).rejects.toBe(error);
    }
  });

  it('are given up while waiting when told to', async () => {
    const gated = gatedEncoder();
    const stop = new AbortController();
    const all = begin(gated, { patient: true, signal: stop.signal });
    await gated.fail(0, new HarnessError('too_many_requests', 'full', { retryAfterSeconds: 3_600 }));
    stop.abort(new Error('enough'));
    await expect(all).rejects.toThrow('enough');
    expect(gated.calls).toHaveLength(1);
  });
});
