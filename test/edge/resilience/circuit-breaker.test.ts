import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, type Passage } from '../../../edge/resilience/circuit-breaker.ts';

const OPTIONS = { windowMs: 10_000, minFailures: 5, failureShare: 0.5, openMs: 2_000, probes: 2, probeMs: 1_000 };

function breakerAt(startMs = 1_000_000, options: Partial<typeof OPTIONS> = {}) {
  let nowMs = startMs;
  const breaker = new CircuitBreaker({ ...OPTIONS, ...options, now: () => nowMs });
  return {
    breaker,
    later: (ms: number) => {
      nowMs += ms;
    },
    fail: (times: number) => {
      for (let i = 0; i < times; i++) breaker.enter()?.failed();
    },
  };
}

describe('a breaker', () => {
  it('opens at the fifth failure, lets nobody through for two seconds, then one at a time, and closes after two', () => {
    const { breaker, later, fail } = breakerAt();
    fail(4);
    expect(breaker.state).toBe('closed');
    fail(1);
    expect(breaker.state).toBe('open');
    later(1_999);
    expect(breaker.enter()).toBeUndefined();
    later(1);
    expect(breaker.state).toBe('half-open');
    const probe = breaker.enter()!;
    expect(breaker.enter()).toBeUndefined();
    probe.succeeded();
    const second = breaker.enter()!;
    expect(breaker.enter()).toBeUndefined();
    second.succeeded();
    expect(breaker.state).toBe('closed');
    expect(breaker.counts).toEqual({ opened: 1, closed: 1, refused: 3 });
    // The failures of before are forgotten.
    fail(4);
    expect(breaker.state).toBe('closed');
  });

  it('stays closed while most calls succeed, and for failures that lie too far apart', () => {
    const { breaker, fail } = breakerAt();
    for (let i = 0; i < 6; i++) breaker.enter()!.succeeded();
    fail(5);
    expect(breaker.state).toBe('closed');
    fail(1);
    expect(breaker.state).toBe('open');

    const slow = breakerAt();
    for (let i = 0; i < 20; i++) {
      slow.fail(1);
      slow.later(2_500);
    }
    expect(slow.breaker.state).toBe('closed');
  });

  it('opens again when a probe fails, and takes another when one never reports', () => {
    const { breaker, later, fail } = breakerAt();
    fail(5);
    later(2_000);
    breaker.enter()!.failed();
    expect(breaker.state).toBe('open');
    later(2_000);
    const lost = breaker.enter()!;
    later(999);
    expect(breaker.enter()).toBeUndefined();
    later(1);
    const next = breaker.enter()!;
    lost.failed();
    expect(breaker.state).toBe('half-open');
    next.abandoned();
    expect(breaker.enter()).toBeDefined();
  });
});

it('takes the next probe when it has been open for long enough, however long one that failed might have taken', () => {
  const { breaker, later, fail } = breakerAt(0, { probeMs: 60_000 });
  fail(5);
  for (let i = 0; i < 3; i++) {
    later(2_000);
    breaker.enter()!.failed();
  }
  expect([breaker.state, breaker.counts]).toEqual(['open', { opened: 4, closed: 0, refused: 0 }]);
});

type Command =
  | { kind: 'enter' }
  | { kind: 'report'; what: keyof Passage; which: number }
  | { kind: 'later'; ms: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ kind: 'enter' } as const) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      what: fc.constantFrom<keyof Passage>('succeeded', 'failed', 'failed', 'failed', 'abandoned'),
      which: fc.nat(30),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('later' as const), ms: fc.nat(3_000) }) },
);

/** What the breaker should do, told without slots and eras: every outcome is kept, every caller is known. */
class Model {
  nowMs = 0;
  opened = 0;
  #open: { untilMs: number; left: number; probe?: { caller: object; atMs: number } } | undefined;
  #callers = new Set<object>();
  #outcomes: { atMs: number; failed: boolean }[] = [];

  get state() {
    if (this.#open === undefined) return 'closed';
    return this.nowMs < this.#open.untilMs ? 'open' : 'half-open';
  }

  enter(caller: object): boolean {
    if (this.#open === undefined) this.#callers.add(caller);
    else {
      const { probe, untilMs } = this.#open;
      if (this.nowMs < untilMs || (probe !== undefined && this.nowMs - probe.atMs < OPTIONS.probeMs)) return false;
      this.#open.probe = { caller, atMs: this.nowMs };
    }
    return true;
  }

  report(caller: object, what: keyof Passage): void {
    if (this.#open === undefined) {
      if (!this.#callers.delete(caller) || what === 'abandoned') return;
      this.#outcomes.push({ atMs: this.nowMs, failed: what === 'failed' });
      const slot = (atMs: number) => Math.floor(atMs / 1_000);
      const recent = this.#outcomes.filter(({ atMs }) => slot(this.nowMs) - slot(atMs) < 10);
      const failures = recent.filter(({ failed }) => failed).length;
      if (failures >= 5 && failures * 2 >= recent.length) this.#opens();
    } else if (this.#open.probe?.caller === caller) {
      this.#open.probe = undefined as never;
      if (what === 'failed') this.#opens();
      else if (what === 'succeeded' && --this.#open.left === 0) this.#open = undefined;
    }
  }

  #opens(): void {
    this.opened += 1;
    this.#open = { untilMs: this.nowMs + OPTIONS.openMs, left: OPTIONS.probes };
    this.#callers.clear();
    this.#outcomes = [];
  }
}

describe('whatever happens', () => {
  it('it does what the model does', () => {
    const seen = { opened: 0, halfOpen: 0 };
    fc.assert(
      fc.property(fc.array(command, { minLength: 50, maxLength: 300 }), (commands) => {
        const model = new Model();
        const { breaker, later } = breakerAt(0);
        const passages: Passage[] = [];
        const told: unknown[] = [];
        const expected: unknown[] = [];
        for (const each of commands) {
          if (each.kind === 'later') {
            later(each.ms);
            model.nowMs += each.ms;
          } else if (each.kind === 'enter') {
            const passage = breaker.enter();
            told.push(passage !== undefined);
            expected.push(model.enter(passage ?? {}));
            if (passage !== undefined) passages.push(passage);
          } else {
            // Said again now and then: only the first word counts.
            const passage = passages[each.which % Math.max(1, passages.length)];
            passage?.[each.what]();
            if (passage !== undefined) model.report(passage, each.what);
          }
          told.push(breaker.state, breaker.counts.opened);
          expected.push(model.state, model.opened);
          seen.opened = Math.max(seen.opened, model.opened);
          if (model.state === 'half-open') seen.halfOpen += 1;
        }
        expect(told).toEqual(expected);
      }),
      { numRuns: 150, seed: 5, endOnFailure: true },
    );
    expect(seen.opened).toBeGreaterThan(1);
    expect(seen.halfOpen).toBeGreaterThan(100);
  });

  it('it is closed again once the origin answers', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 100 }), (commands) => {
        const { breaker, later } = breakerAt();
        const passages: Passage[] = [];
        for (const each of commands) {
          if (each.kind === 'later') later(each.ms);
          else if (each.kind === 'report') passages.splice(each.which, 1)[0]?.[each.what]();
          else {
            const passage = breaker.enter();
            if (passage !== undefined) passages.push(passage);
          }
        }
        // A closed one may still open at failures from before, when the successes among them are forgotten first.
        later(breaker.state === 'closed' ? OPTIONS.windowMs : OPTIONS.openMs + OPTIONS.probeMs);
        for (let i = 0; i < OPTIONS.probes; i++) breaker.enter()!.succeeded();
        expect(breaker.state).toBe('closed');
      }),
    );
  });
});
