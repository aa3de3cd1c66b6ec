import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Loaded } from '../../../edge/cache/tiered.ts';
import { CircuitBreaker } from '../../../edge/resilience/circuit-breaker.ts';
import { HedgeBudget, LatencyQuantile } from '../../../edge/resilience/hedge.ts';
import { Origins } from '../../../edge/resilience/origins.ts';
import { HarnessError, type ProblemCode } from '../../../shared/problem.ts';

const LOADED: Loaded = { body: '{}', generation: 7, empty: false };
const REQUEST = {
  query: 'shoes',
  normalizerVersion: 1,
  market: 'us',
  locale: 'en',
  plan: { retrievers: ['lexical' as const], k: 10, minRelevance: 0 },
};
const fault = (code: ProblemCode) => new HarnessError(code, code);

interface Call {
  origin: number;
  deadlineMs: number;
  cancelled: AbortSignal;
  answer: (loaded?: Loaded) => void;
  fail: (code: ProblemCode) => void;
}

/** Origins whose calls end when the test says so. A learnt delay of 0 makes every call a slow one. */
function setUp({ origins = 1, share = 1, delayMs }: { origins?: number; share?: number; delayMs?: number } = {}) {
  const calls: Call[] = [];
  const clock = { nowMs: 5_000 };
  const latency = new LatencyQuantile({ quantile: 0.95, size: 256, least: 1 });
  if (delayMs !== undefined) latency.record(delayMs);
  const breakers = Array.from(
    { length: origins },
    () =>
      new CircuitBreaker({
        now: () => clock.nowMs,
        windowMs: 10_000,
        minFailures: 5,
        failureShare: 0.5,
        openMs: 2_000,
        probes: 2,
        probeMs: 1_000,
      }),
  );
  const all = new Origins({
    origins: breakers.map((breaker, origin) => ({
      breaker,
      backend: {
        retrieve: ({ deadlineMs }, { cancelled } = {}) =>
          new Promise((resolve, reject) => {
            cancelled!.addEventListener('abort', () => reject(fault('backend_unavailable')));
            const answer = (loaded = LOADED) => resolve(loaded);
            calls.push({ origin, deadlineMs, cancelled: cancelled!, answer, fail: (code) => reject(fault(code)) });
          }),
      },
    })),
    budget: new HedgeBudget({ share, most: 100 }),
    latency,
    elapsed: () => clock.nowMs,
  });
  const ask = (urgent = true) => all.retrieve(REQUEST, { deadlineMs: 60_000, urgent, since: 7 });
  /** Until so many calls were made. */
  const made = async (count: number) => {
    while (calls.length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  return { all, ask, calls, clock, made, breakers };
}

describe('one origin', () => {
  it('a slow call is made again; the first answer counts and the other call is cancelled', async () => {
    for (const winner of [0, 1]) {
      const { all, ask, calls, made } = setUp({ delayMs: 0 });
      const answer = ask();
      await made(2);
      calls[winner]!.answer();
      expect(await answer).toEqual({ ...LOADED, hedged: winner === 1 });
      expect(calls[1 - winner]!.cancelled.aborted).toBe(true);
      expect(all.counts).toMatchObject({ calls: 1, hedged: 1, hedgeWon: winner });
    }
  });

  it('is told how much time is left', async () => {
    const { ask, calls, clock, made } = setUp({ delayMs: 0 });
    const answer = ask();
    clock.nowMs += 400;
    await made(2);
    expect(calls.map(({ deadlineMs }) => deadlineMs)).toEqual([60_000, 59_600]);
    calls[0]!.answer();
    await answer;
  });

  it('a failure is tried again at once, a refusal is not; both failing is the failure of the first', async () => {
    const { ask, calls, made } = setUp();
    const saved = ask();
    calls[0]!.fail('backend_unavailable');
    await made(2);
    calls[1]!.answer();
    expect(await saved).toMatchObject({ hedged: true });

    const refused = ask();
    calls[2]!.fail('too_many_requests');
    await expect(refused).rejects.toMatchObject({ code: 'too_many_requests' });
    expect(calls).toHaveLength(3);

    const lost = ask();
    calls[3]!.fail('not_ready');
    await made(5);
    calls[4]!.fail('backend_unavailable');
    await expect(lost).rejects.toMatchObject({ code: 'not_ready' });
  });

  it('nothing is made again for a request with something else to show, nor without budget', async () => {
    for (const [share, urgent] of [
      [1, false],
      [0, true],
    ] as const) {
      const { ask, calls } = setUp({ share, delayMs: 0 });
      const answer = ask(urgent);
      await new Promise((resolve) => setTimeout(resolve, 2));
      calls[0]!.fail('backend_unavailable');
      await expect(answer).rejects.toMatchObject({ code: 'backend_unavailable' });
      expect(calls).toHaveLength(1);
    }
  });

  it('learns from each call how long one takes: from one that was given up that it takes at least so long', async () => {
    const learnt = async (ms: number, end: (call: Call) => void) => {
      const { all, ask, calls, clock } = setUp();
      const answer = ask(false).catch(() => undefined);
      clock.nowMs += ms;
      end(calls[0]!);
      await answer;
      return all.hedgeAfterMs;
    };
    expect(await learnt(300, ({ answer }) => answer())).toBe(300);
    expect(await learnt(400, ({ answer }) => answer({ ...LOADED, generation: 6 }))).toBe(400);
    expect(await learnt(500, ({ fail }) => fail('deadline_exceeded'))).toBe(500);
    for (const code of ['backend_unavailable', 'too_many_requests'] as const)
      expect(await learnt(600, ({ fail }) => fail(code))).toBeNull();

    const { all, ask, calls, clock, made } = setUp({ delayMs: 0 });
    const answer = ask();
    await made(2);
    clock.nowMs += 700;
    calls[1]!.answer();
    await answer;
    // The quantile of 0 and 700, which the one that came took and the one that was cancelled at least, is read now and then only.
    for (let i = 0; i < 13; i++) {
      void ask(false);
      calls.at(-1)!.answer();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(all.hedgeAfterMs).toBe(700);
  });

  it('asks nobody once its breaker is open, and counts that', async () => {
    const { all, ask, calls } = setUp({ share: 0 });
    for (let i = 0; i < 5; i++) {
      const answer = ask();
      calls[i]!.fail('backend_unavailable');
      await expect(answer).rejects.toMatchObject({ code: 'backend_unavailable' });
    }
    for (let i = 0; i < 3; i++) await expect(ask()).rejects.toMatchObject({ code: 'circuit_open' });
    expect([calls.length, all.counts.calls, all.counts.refused]).toEqual([5, 5, 3]);
  });

  it('refusals never open the breaker, and calls that were given up say nothing', async () => {
    const { ask, calls, made, breakers } = setUp({ delayMs: 0 });
    for (let i = 0; i < 10; i++) {
      const answer = ask();
      await made(2 * i + 2);
      calls[2 * i + 1]!.answer();
      await answer;
    }
    expect(breakers[0]!.state).toBe('closed');
    for (let i = 0; i < 10; i++) {
      const answer = ask(false);
      calls.at(-1)!.fail('too_many_requests');
      await expect(answer).rejects.toThrow();
    }
    expect(breakers[0]!.state).toBe('closed');
  });
});

it.each([1, 2])('the first of %i is asked as before once it answers again, be it with a refusal', async (origins) => {
  const { ask, calls, clock, breakers } = setUp({ origins, share: 0 });
  const ended = async (end: (call: Call) => void) => {
    const answer = ask().catch(() => undefined);
    end(calls.at(-1)!);
    await answer;
  };
  for (let i = 0; i < 5; i++) await ended(({ fail }) => fail('backend_unavailable'));
  expect(breakers[0]!.state).toBe('open');
  clock.nowMs += 2_000;
  await ended(({ answer }) => answer());
  await ended(({ fail }) => fail('too_many_requests'));
  expect([breakers[0]!.state, calls.map(({ origin }) => origin)]).toEqual(['closed', Array(7).fill(0)]);
  // It takes as many failures as successes to open it again.
  for (let i = 0; i < 6; i++) await ended(({ answer }) => answer());
  for (let i = 0; i < 5; i++) await ended(({ fail }) => fail('backend_unavailable'));
  expect(breakers[0]!.state).toBe('closed');
});

it('what one origin refuses, another may answer; what both refuse is the refusal of the first', async () => {
  const { all, ask, calls, made } = setUp({ origins: 2 });
  const saved = ask();
  calls[0]!.fail('too_many_requests');
  await made(2);
  calls[1]!.answer();
  expect(await saved).toMatchObject({ hedged: true });

  const refused = ask();
  calls[2]!.fail('unauthorized');
  await made(4);
  calls[3]!.fail('too_many_requests');
  await expect(refused).rejects.toMatchObject({ code: 'unauthorized' });
  expect(calls.map(({ origin }) => origin)).toEqual([0, 1, 0, 1]);
  expect(all.counts).toMatchObject({ calls: 2, hedged: 2, hedgeWon: 1 });
});

it('candidates that are too old are as good as none: another is asked, and the one that gives them only now and then', async () => {
  const { all, ask, calls, breakers } = setUp({ origins: 2 });
  for (let i = 0; i < 10; i++) {
    const from = calls.length;
    const answer = ask();
    if (calls[from]!.origin === 0) calls[from]!.answer({ ...LOADED, generation: 6 });
    while (calls.at(-1)!.origin === 0) await new Promise((resolve) => setImmediate(resolve));
    calls.at(-1)!.answer();
    expect(await answer).toEqual({ ...LOADED, hedged: true });
  }
  expect(calls.filter(({ origin }) => origin === 0)).toHaveLength(5);
  expect(breakers.map(({ state }) => state)).toEqual(['open', 'closed']);
  expect(all.counts.outdated).toBe(5);
});

it('whatever two origins do: every request ends, second calls keep to their share, nobody asks an open one', async () => {
  const outcome = fc.constantFrom<ProblemCode | 'ok'>('ok', 'backend_unavailable', 'deadline_exceeded', 'bad_request');
  const step = fc.record({ outcomes: fc.array(outcome, { minLength: 2, maxLength: 2 }), laterMs: fc.nat(1_500) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { all, ask, calls, clock, breakers } = setUp({ origins: 2, share: 0.25 });
      for (const { outcomes, laterMs } of steps) {
        clock.nowMs += laterMs;
        const open = breakers.map(({ state }) => state === 'open');
        const from = calls.length;
        let done = false;
        const answer = ask().then(
          ({ hedged }) => ({ hedged }),
          (error: HarnessError) => ({ code: error.code }),
        );
        void answer.then(() => {
          done = true;
        });
        for (let answered = from; !done; ) {
          const call = calls[answered];
          if (call === undefined) {
            await new Promise((resolve) => setImmediate(resolve));
            continue;
          }
          expect(open[call.origin]).toBe(false);
          const what = outcomes[answered++ - from]!;
          if (what === 'ok') call.answer();
          else call.fail(what);
        }
        const result = await answer;
        const asked = calls.slice(from);
        if (asked.length === 0) expect(result).toEqual({ code: 'circuit_open' });
        // Another origin is asked before the same one again.
        if (asked.length === 2 && !open[1] && asked[0]!.origin === 0 && breakers[1]!.state === 'closed')
          expect(asked[1]!.origin).toBe(1);
        if ('hedged' in result) expect(result.hedged).toBe(asked.length === 2 || asked[0]!.origin === 1);
      }
      expect(all.counts.hedged).toBeLessThanOrEqual(0.25 * all.counts.calls);
      expect(calls).toHaveLength(all.counts.calls + all.counts.hedged);
    }),
    { numRuns: 40, endOnFailure: true },
  );
});
