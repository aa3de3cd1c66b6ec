/** The stopwatch on a clock that the encoders move: who is timed when, on what, and what is made of it. */
import { describe, expect, it } from 'vitest';
import { type Contender, measureSpeed } from '../../../training/evaluate/speed.ts';
import type { TextEncoderSession } from '../../../training/runner/encoder.ts';

/** An encoder that takes so many milliseconds a text. */
function contenders(cost: Readonly<Record<string, number>>, texts: (name: string) => readonly string[]) {
  let clock = 0;
  const log: string[] = [];
  const encoder = (name: string) =>
    ({
      tokenizer: { encode: (text: string) => text.split(' '), pad: (rows: readonly string[][]) => rows },
      run: async (rows: readonly string[][]) => {
        clock += cost[name]! * rows.length;
        log.push(`${name} ${rows.length}`);
      },
    }) as unknown as TextEncoderSession;
  const all = Object.fromEntries(
    Object.keys(cost).map((name): [string, Contender] => [
      name,
      { single: encoder(name), full: encoder(name), texts: texts(name) },
    ]),
  );
  return { all, log, now: () => clock };
}

describe('measureSpeed', () => {
  it('times each on its own texts, one at a time and in batches', async () => {
    const { all, now } = contenders({ teacher: 8, student: 0.5 }, (name) =>
      Array.from({ length: 100 }, () => (name === 'teacher' ? 'sock and what is known of it' : 'sock')),
    );
    const { teacher, student } = await measureSpeed(all, { now });
    expect(teacher).toEqual({ p50Ms: 8, p99Ms: 8, queriesPerSecond: 125, tokens: 7 });
    expect(student).toEqual({ p50Ms: 0.5, p99Ms: 0.5, queriesPerSecond: 2_000, tokens: 1 });
  });

  it('gives each its turn before anyone has a second', async () => {
    const { all, log, now } = contenders({ a: 1, b: 1 }, () => Array.from({ length: 64 }, () => 'x'));
    await measureSpeed(all, { now });
    // Warm-up apart: 25, 25, 14 of each in turn, then batches in turn.
    const timed = log.slice(40);
    expect(timed.slice(0, 50).map((entry) => entry[0])).toEqual([...'a'.repeat(25), ...'b'.repeat(25)]);
    expect(timed.filter((entry) => entry.endsWith(' 1'))).toHaveLength(128);
    expect(timed.slice(-6)).toEqual(['a 32', 'b 32', 'a 32', 'b 32', 'a 32', 'b 32']);
  });

  it('makes one smaller batch of what does not fill one', async () => {
    const { all, log, now } = contenders({ a: 2 }, () => ['x', 'y', 'z']);
    expect((await measureSpeed(all, { now })).a?.queriesPerSecond).toBe(500);
    expect(log.at(-1)).toBe('a 3');
  });
});
