import { describe, expect, it, vi } from 'vitest';
import { Batcher } from '../../../gpu-backend/encoder/batcher.ts';
import { type Computed, type Lane, LaneLost } from '../../../gpu-backend/encoder/lane.ts';

/** A lane that holds each batch until it is told to answer, whole or but for some texts; vectors are [length of the text]. */
function gatedLane(now = () => 0) {
  const batches: {
    texts: string[];
    deadlinesAtMs: number[];
    withdrawn: number[];
    answer: (options?: { without?: number[]; batch?: Computed['batch'] }) => void;
    fail: (error: unknown) => void;
  }[] = [];
  const lane: Lane = (texts, { deadlinesAtMs }) => {
    const { promise, resolve, reject } = Promise.withResolvers<Computed>();
    const began = now();
    const withdrawn: number[] = [];
    batches.push({
      ...{ texts, deadlinesAtMs, withdrawn },
      answer: ({ without = [], batch = { texts: texts.length, tookMs: now() - began } } = {}) =>
        resolve({
          vectors: Float32Array.from(texts, (text) => text.length),
          tokens: Int32Array.from(texts, (_, i) => (without.includes(i) ? 0 : 1)),
          batch,
        }),
      fail: reject,
    });
    return { computed: promise, withdraw: (index) => withdrawn.push(index) };
  };
  return { lane, batches };
}

/** A batcher with one lane, which is handed nothing ahead unless that is said. */
function setUp({ maxQueued = 100, tokenBudget = 1000, ahead = 0 } = {}) {
  let nowMs = 1000;
  const now = () => nowMs;
  const batcher = new Batcher({ dimension: 1, maxQueued, tokenBudget, ahead, maxTokens: 64, now });
  const gate = gatedLane(now);
  batcher.addLane(gate.lane);
  return { batcher, ...gate, advance: (ms: number) => (nowMs += ms) };
}

/** Lets settled promises run their reactions. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('Batcher', () => {
  it('starts at once when a lane is free, and takes all that waited as the next batch', async () => {
    const { batcher, batches } = setUp();
    const calls = ['a', 'bb', 'ccc', 'dddd'].map((text) => batcher.encode([text]));
    expect(batches.map(({ texts }) => texts)).toEqual([['a']]);
    batches[0]!.answer();
    await settle();
    expect(batches[1]!.texts).toEqual(['bb', 'ccc', 'dddd']);
    batches[1]!.answer();
    expect((await Promise.all(calls)).map(({ vectors }) => [...vectors[0]!])).toEqual([[1], [2], [3], [4]]);
  });

  it('cuts batches at the token budget and puts the parts of a call back together in order', async () => {
    const { batcher, batches } = setUp({ tokenBudget: 10 });
    const texts = Array.from({ length: 7 }, (_, i) => 'x'.repeat(i + 1));
    const call = batcher.encode(texts);
    for (let i = 0; i < 10; i++) {
      batches[i]?.answer();
      await settle();
    }
    expect(batches.length).toBeGreaterThan(1);
    for (const batch of batches) {
      expect(batch.texts.reduce((sum, { length }) => sum + 2 + Math.ceil(length / 4), 0)).toBeLessThanOrEqual(10);
    }
    const { vectors, tokens } = await call;
    expect(vectors.map(([length]) => length)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(tokens).toEqual(texts.map(() => 1));
  });

  it('hands a busy lane what comes at once, up to its budgets ahead, and then whole batches as there is room', async () => {
    const { batcher, batches } = setUp({ tokenBudget: 9, ahead: 2 }); // three texts
    const handed = () => batches.map(({ texts }) => texts.join(''));
    const calls = [...'abcdefghijklmn'].map((text) => batcher.encode([text]));
    expect(handed()).toEqual([...'abcdefg']);
    expect(batcher.stats()).toMatchObject({ running: 7, queued: 7 });
    batches[0]!.answer();
    await settle();
    expect(handed()).toEqual([...'abcdefg', 'hij']);
    for (const { answer } of batches.slice(1, 4)) answer();
    await settle();
    expect(handed()).toEqual([...'abcdefg', 'hij', 'klm']);
    for (let i = 4; i < 10; i++) {
      batches[i]!.answer();
      await settle();
    }
    await Promise.all(calls);
    expect(handed()).toEqual([...'abcdefg', 'hij', 'klm', 'n']);
    expect(batcher.stats()).toMatchObject({ encoded: 14, running: 0, queued: 0 });
  });

  it('hands to the lane that has least before it', () => {
    const { batcher, batches } = setUp({ tokenBudget: 9, ahead: 1 });
    const other = gatedLane();
    batcher.addLane(other.lane);
    for (const texts of ['ab', 'c', 'd', 'e', 'fg', 'h']) void batcher.encode([...texts]);
    expect([batches, other.batches].map((lane) => lane.map(({ texts }) => texts.join('')))).toEqual([
      ['ab', 'e', 'h'],
      ['c', 'd', 'fg'],
    ]);
  });

  it('counts once what a lane computed at once', async () => {
    const { batcher, batches } = setUp({ ahead: 2 });
    const calls = [...'abc'].map((text) => batcher.encode([text]));
    const batch = { texts: 3, tookMs: 1 };
    for (const { answer } of batches) answer({ batch });
    await Promise.all(calls);
    expect(batcher.stats()).toMatchObject({ encoded: 3, batches: 1 });
  });

  it('withdraws from the lane what nobody wants any more, and counts a caller that left once', async () => {
    const { batcher, batches } = setUp({ ahead: 2 });
    const first = batcher.encode(['first']);
    const leaving = new AbortController();
    const gone = expect(batcher.encode(['gone', 'too'], { signal: leaving.signal })).rejects.toThrow('left');
    leaving.abort(new Error('left'));
    await gone;
    expect(batches[1]!.withdrawn).toEqual([0, 1]);
    expect(batcher.stats()).toMatchObject({ running: 3, cancelled: 0 });
    batches[0]!.answer();
    batches[1]!.answer({ without: [0, 1], batch: { texts: 0, tookMs: 0 } });
    await first;
    await settle();
    expect(batches[0]!.withdrawn).toEqual([]);
    expect(batcher.stats()).toMatchObject({ cancelled: 1, encoded: 1, batches: 1, expired: 0, running: 0 });
  });

  it('counts nobody as cancelled whose texts the lane had begun with', async () => {
    const { batcher, batches } = setUp();
    const leaving = new AbortController();
    const gone = expect(batcher.encode(['gone'], { signal: leaving.signal })).rejects.toThrow('left');
    leaving.abort(new Error('left'));
    await gone;
    batches[0]!.answer();
    await settle();
    expect(batcher.stats()).toMatchObject({ cancelled: 0, encoded: 1 });
  });

  it('tells the lane the deadlines, and refuses what came too late there', async () => {
    const { batcher, batches } = setUp({ ahead: 2 });
    const first = batcher.encode(['first']);
    const late = expect(batcher.encode(['late', 'later'], { deadlineAtMs: 1500 })).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
    expect(batches.map(({ deadlinesAtMs }) => deadlinesAtMs)).toEqual([[Number.POSITIVE_INFINITY], [1500, 1500]]);
    batches[0]!.answer();
    batches[1]!.answer({ without: [1] });
    await late;
    await first;
    expect(batcher.stats()).toMatchObject({ expired: 1, cancelled: 0, encoded: 2 });
  });

  it('loses what was handed to a lane together with it, also what was handed ahead', async () => {
    const { batcher, batches } = setUp({ tokenBudget: 9, ahead: 2 });
    const lost = [...'abcdefg'].map((text) => expect(batcher.encode([text])).rejects.toThrow('it crashed'));
    const kept = batcher.encode(['h']);
    for (const { fail } of [...batches]) fail(new LaneLost('it crashed'));
    await Promise.all(lost);
    expect(batches).toHaveLength(7);
    const other = gatedLane();
    batcher.addLane(other.lane);
    other.batches[0]!.answer();
    expect((await kept).vectors).toHaveLength(1);
  });

  it('computes no further text of a caller that goes away, nor of a call that failed', async () => {
    const { batcher, batches } = setUp({ tokenBudget: 9, ahead: 2 });
    const leaving = new AbortController();
    const gone = expect(batcher.encode([...'abcdefghijkl'], { signal: leaving.signal })).rejects.toThrow('left');
    expect(batcher.stats()).toMatchObject({ running: 9, queued: 3 });
    leaving.abort(new Error('left'));
    await gone;
    expect(batcher.stats()).toMatchObject({ queued: 0, cancelled: 1 });
    expect(batches.map(({ withdrawn }) => withdrawn)).toEqual([
      [0, 1, 2],
      [0, 1, 2],
      [0, 1, 2],
    ]);
    for (const { answer } of [...batches]) answer();
    await settle();
    const failing = expect(batcher.encode([...'mnopqrstuvwx'])).rejects.toThrow('bad batch');
    batches[3]!.fail(new Error('bad batch'));
    for (const { answer } of batches.slice(4)) answer();
    await failing;
    await settle();
    expect(batches).toHaveLength(6);
    expect(batcher.stats()).toMatchObject({ queued: 0, running: 0 });
  });

  it('refuses single and batch calls alike when the queue is full, and says when to come back', async () => {
    const { batcher, batches } = setUp({ maxQueued: 3 });
    const running = batcher.encode(['first']);
    const waiting = batcher.encode(['a', 'b', 'c']);
    for (const texts of [['one'], ['one', 'two', 'three', 'four']]) {
      await expect(batcher.encode(texts)).rejects.toMatchObject({
        code: 'too_many_requests',
        retryAfterSeconds: expect.toSatisfy((seconds: number) => seconds >= 1),
      });
    }
    expect(batcher.stats()).toMatchObject({ refused: 2, queued: 3, running: 1 });
    batches[0]!.answer();
    await settle();
    batches[1]!.answer();
    await Promise.all([running, waiting]);
    const later = batcher.encode(['later']);
    batches[2]!.answer();
    expect((await later).vectors).toHaveLength(1);
  });

  it('never computes what expired while it waited', async () => {
    const { batcher, batches, advance } = setUp();
    const running = batcher.encode(['first']);
    const late = batcher.encode(['late'], { deadlineAtMs: 1050 });
    const patient = batcher.encode(['patient'], { deadlineAtMs: 5000 });
    const expectation = expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    advance(100);
    batches[0]!.answer();
    await settle();
    expect(batches[1]!.texts).toEqual(['patient']);
    batches[1]!.answer();
    await Promise.all([running, patient, expectation]);
    expect(batcher.stats()).toMatchObject({ expired: 1, encoded: 2 });
  });

  it('refuses what becomes too late while its only lane is gone, though nothing else happens', async () => {
    vi.useFakeTimers();
    try {
      const { lane, batches } = gatedLane();
      const batcher = new Batcher({
        dimension: 1,
        maxQueued: 9,
        tokenBudget: 9,
        ahead: 0,
        maxTokens: 64,
        now: Date.now,
      });
      batcher.addLane(lane);
      const doomed = expect(batcher.encode(['doomed'])).rejects.toThrow('it crashed');
      const deadlines = [80, 50].map((ms) => Date.now() + ms);
      const late = deadlines.map((deadlineAtMs) => batcher.encode(['late'], { deadlineAtMs }));
      const refused = late.map((call) => expect(call).rejects.toMatchObject({ code: 'deadline_exceeded' }));
      batches[0]!.fail(new LaneLost('it crashed'));
      await doomed;
      await vi.advanceTimersByTimeAsync(50);
      await refused[1];
      expect(batcher.stats()).toMatchObject({ expired: 1, queued: 1 });
      await vi.advanceTimersByTimeAsync(30);
      await refused[0];
      expect([batcher.stats(), vi.getTimerCount()]).toMatchObject([{ expired: 2, queued: 0 }, 0]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses at once what it cannot begin in time, by what waits, how long a text takes, and how many lanes there are', async () => {
    const { batcher, batches, advance } = setUp();
    const first = batcher.encode(['first']);
    advance(100); // a text takes 5 + 0.1 * (100 - 5) ms from now on
    batches[0]!.answer();
    await first;
    const running = batcher.encode(['running']);
    const waiting = batcher.encode(Array.from({ length: 10 }, (_, i) => `waiting ${i}`));
    const now = 1100;
    await expect(batcher.encode(['late'], { deadlineAtMs: now + 145 })).rejects.toMatchObject({
      code: 'deadline_exceeded',
      message: 'The encoder has 10 texts waiting, about 145 ms of work; 145 ms are left.',
    });
    expect(batcher.stats()).toMatchObject({ expired: 1, queued: 10 });
    const inTime = batcher.encode(['in time'], { deadlineAtMs: now + 150 });
    for (const answered of [1, 2]) {
      batches[answered]!.answer();
      await settle();
    }
    expect((await inTime).vectors).toHaveLength(1);
    await Promise.all([running, waiting]);

    // With nothing waiting it is begun, however long the last text took.
    const alone = batcher.encode(['alone'], { deadlineAtMs: now + 1 });
    batches.at(-1)!.answer();
    expect((await alone).vectors).toHaveLength(1);

    const other = gatedLane();
    batcher.addLane(other.lane);
    const busy = [batcher.encode(['a']), batcher.encode(['b'])];
    const more = batcher.encode(Array.from({ length: 10 }, () => 'c'));
    const half = batcher.encode(['d'], { deadlineAtMs: now + 100 });
    expect(batcher.stats()).toMatchObject({ expired: 1, queued: 11 });
    for (const each of [batches.at(-1)!, other.batches.at(-1)!]) each.answer();
    await settle();
    batches.at(-1)!.answer();
    other.batches.at(-1)!.answer();
    await Promise.all([...busy, more, half]);
  });

  it('makes room for new calls by dropping what expired', async () => {
    const { batcher, batches, advance } = setUp({ maxQueued: 1 });
    const running = batcher.encode(['first']);
    const late = batcher.encode(['late'], { deadlineAtMs: 1050 });
    const expectation = expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    advance(100);
    const next = batcher.encode(['next']);
    batches[0]!.answer();
    await settle();
    batches[1]!.answer();
    await Promise.all([running, next, expectation]);
  });

  it('drops a caller that goes away while waiting, at once', async () => {
    const { batcher, batches } = setUp();
    const running = batcher.encode(['first']);
    const leaving = new AbortController();
    const gone = batcher.encode(['gone', 'gone too'], { signal: leaving.signal });
    leaving.abort(new Error('left'));
    await expect(gone).rejects.toThrow('left');
    batches[0]!.answer();
    await running;
    await settle();
    expect(batches).toHaveLength(1);
    expect(batcher.stats()).toMatchObject({ cancelled: 1, encoded: 1, queued: 0 });
  });

  it('fails the batch of a lost lane and goes on with the others', async () => {
    const { batcher, batches } = setUp();
    const doomed = batcher.encode(['doomed']);
    const waiting = batcher.encode(['waiting']);
    const other = gatedLane();
    batches[0]!.fail(new LaneLost('it crashed'));
    await expect(doomed).rejects.toMatchObject({ code: 'internal', message: 'The encoder lost a worker: it crashed.' });
    batcher.addLane(other.lane);
    other.batches[0]!.answer();
    expect((await waiting).vectors).toHaveLength(1);
    expect(batches).toHaveLength(1);
  });

  it('uses a lane again whose batch failed for another reason', async () => {
    const { batcher, batches } = setUp();
    const failed = batcher.encode(['bad']);
    batches[0]!.fail(new Error('bad batch'));
    await expect(failed).rejects.toThrow('bad batch');
    const next = batcher.encode(['good']);
    batches[1]!.answer();
    expect((await next).vectors).toHaveLength(1);
  });

  it('rejects everything once no lane will come back', async () => {
    const { batcher, batches } = setUp();
    const running = batcher.encode(['first']);
    const waiting = batcher.encode(['second']);
    batches[0]!.fail(new LaneLost('gone'));
    batcher.fail(new LaneLost('gone for good'));
    await expect(running).rejects.toThrow('gone');
    await expect(waiting).rejects.toThrow('gone for good');
    await expect(batcher.encode(['third'])).rejects.toThrow('gone for good');
    await batcher.close();
  });

  it('closes when everything taken is answered, not before', async () => {
    const { batcher, batches } = setUp();
    const calls = [batcher.encode(['a']), batcher.encode(['b'])];
    let closed = false;
    const closing = batcher.close().then(() => {
      closed = true;
    });
    await expect(batcher.encode(['c'])).rejects.toMatchObject({ code: 'not_ready' });
    batches[0]!.answer();
    await settle();
    expect(closed).toBe(false);
    batches[1]!.answer();
    await Promise.all([...calls, closing]);
    expect(closed).toBe(true);
  });
});
