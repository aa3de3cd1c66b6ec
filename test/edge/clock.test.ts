import fc from 'fast-check';
import { expect, it } from 'vitest';
import { forward } from '../../edge/clock.ts';

/** Readings of a clock that shows these times one after the other. */
function readings(times: readonly number[]): number[] {
  let i = 0;
  const steady = forward(() => times[i++]!);
  return times.map(() => steady());
}

it('goes on from where it was when the clock is set back', () => {
  expect(readings([5_000_000, 5_000_100, 1_400_000, 1_400_250])).toEqual([5_000_000, 5_000_100, 5_000_100, 5_000_350]);
});

it('does not run ahead for clocks that are read late by turns', () => {
  const times = Array.from({ length: 1_000 }, (_, i) => 1_000_000 + 10 * i - (i % 2) * 900);
  expect(readings(times).at(-1)).toBe(Math.max(...times));
});

it('never goes back, is never slower than the clock, and takes no more for a step back than a second', () => {
  const steps = fc.array(fc.integer({ min: -5_000, max: 5_000 }), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(steps, (changes) => {
      let atMs = 1_800_000_000_000;
      const times = changes.map((ms) => (atMs += ms));
      const told = readings(times);
      for (let i = 1; i < told.length; i++) {
        const [passed, shown] = [times[i]! - times[i - 1]!, told[i]! - told[i - 1]!];
        expect(shown).toBeGreaterThanOrEqual(Math.max(0, passed - 1_000));
        expect(shown).toBeLessThanOrEqual(Math.max(0, passed));
      }
    }),
  );
});
