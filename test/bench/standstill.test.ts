/** What latencies are read beside: jumps of the clock, and the turns that count. */
import { expect, test } from 'vitest';
import { latencyRows, standstill, steadyTurns, waitFor } from '../../bench/standstill.ts';
import { createRandom } from '../../marketplace/random.ts';

test.each([
  { jumps: [100], overMs: 1_000, waits: 90 },
  { jumps: [100, 50], overMs: 1_000, waits: 90 },
  { jumps: [95, 100], overMs: 1_000, waits: 92.5 },
  { jumps: [1, 2, 3], overMs: 1_000, waits: 0 },
  { jumps: [], overMs: 1_000, waits: 0 },
])('jumps of $jumps ms hold up all but 1 % of the moments for at most $waits ms', ({ jumps, overMs, waits }) => {
  expect(waitFor(jumps, overMs, 0.99)).toBeCloseTo(waits, 9);
});

test('it is what requests at random moments wait', () => {
  const random = createRandom(1, 'standstill');
  const jumps = Array.from({ length: 50 }, () => 30 * random.next() ** 3);
  const overMs = 2_000;
  const waits = Array.from({ length: 200_000 }, () => {
    let at = random.next() * overMs;
    for (const jump of jumps) {
      if (at < jump) return jump - at;
      at -= jump;
    }
    return 0;
  }).sort((a, b) => a - b);
  for (const share of [0.9, 0.99]) {
    expect(waitFor(jumps, overMs, share)).toBeCloseTo(waits[Math.floor(share * waits.length)]!, 0);
  }
});

test('a look at every processor ends', async () => {
  expect(await standstill()).toBeGreaterThanOrEqual(0);
});

/** Turns by what the machine did around them; the latency of each is ten times its number. */
const turnsOf = (wanted: number, stood: readonly number[]) =>
  steadyTurns(wanted, async (turn) => ({ stoodMs: stood[turn - 1]!, ms: 10 * turn }));

test('further turns are taken until enough are of a machine that did not stand still', async () => {
  const turns = await turnsOf(2, [0.1, 30, 1.5, 0.9, 0]);
  expect(turns.counted.map(({ ms }) => ms)).toEqual([10, 40]);
  expect(turns.all).toHaveLength(4);
  expect(latencyRows('p99', turns, { of: ({ ms }) => ms, atMost: 24 })).toEqual([
    {
      metric: 'p99',
      value: 25,
      unit: 'ms, median of the 2 steadiest of 4 turns, 10.0 to 40.0; of all 25.0',
      target: '<= 24',
      ok: false,
    },
    { metric: 'p99: a thread that does nothing waits as long for its processor', value: 0.5, unit: 'ms' },
  ]);
});

test('where it always does, those of its steadiest moments count', async () => {
  const turns = await turnsOf(2, [5, 6, 7, 2, 9, 3]);
  expect(turns.counted.map(({ ms }) => ms)).toEqual([40, 60]);
  expect(turns.all).toHaveLength(6);
});

test('nothing is left out where it never does', async () => {
  const turns = await turnsOf(2, [0.3, 0.2]);
  const [row] = latencyRows('p99', turns, { of: ({ ms }) => ms, atMost: 24 });
  expect(row).toMatchObject({ value: 15, unit: 'ms, median of 2 turns, 10.0 to 20.0', ok: true });
});
