/** kill -9 in the middle of a publication: the next process finds the old generation or the new one, whole. */
import { beforeAll, expect, test } from 'vitest';
import { testFolder } from '../fixtures/folder.ts';
import { publishUntil, wrongWith } from '../fixtures/killed-publisher.ts';
import type { FromPublishing } from '../fixtures/publishing-process.ts';
import { smallBundle } from '../fixtures/small-house.ts';

const at = testFolder('killed');
/** Several processes are started one after the other, on machines that may be busy. */
const TIMEOUT_MS = 600_000;
beforeAll(() => smallBundle(at('bundle')));

/** Each is the end of one process; the next one says what it found. bench/backend/kill.ts kills at random moments. */
const MOMENTS: [string, (message: FromPublishing) => boolean][] = [
  ['when one had just been published', ({ kind }) => kind === 'published'],
  ['while indices were built', (message) => message.kind === 'phase' && message.phase === 'index'],
  ['between check and swap', (message) => message.kind === 'phase' && message.phase === 'check'],
  ['at its start', ({ kind }) => kind === 'started'],
];

test(
  'killed anywhere, a publication leaves the old generation or the new one, never a mixture',
  async () => {
    let [said, before] = [0, 'before anything'];
    for (const [moment, isNow] of MOMENTS) {
      const until = (message: FromPublishing, kill: () => void) => isNow(message) && kill();
      const life = await publishUntil({ bundleDir: at('bundle'), dataDir: at('data'), said, until });
      expect(wrongWith(life.found, said), `left by a process killed ${before}`).toEqual([]);
      [said, before] = [Math.max(life.said, life.found.number ?? 0), moment];
    }
    expect(said).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

test('a mixture, a step back and a lost ad would be seen', () => {
  const whole = { kind: 'started', number: 4, bids: [4], ads: 36, passedOver: [] } as const;
  expect(wrongWith({ ...whole, bids: [4], passedOver: [] }, 4)).toEqual([]);
  expect(wrongWith({ ...whole, bids: [4], passedOver: [] }, 3)).toEqual([]);
  expect(wrongWith({ ...whole, bids: [3, 4], passedOver: [] }, 4)).toEqual(['generation 4 holds bids 3, 4']);
  expect(wrongWith({ ...whole, bids: [4], passedOver: [] }, 5)).toEqual(['expected generation 5 or 6, got 4']);
  expect(wrongWith({ ...whole, bids: [4], ads: 35, passedOver: [] }, 4)).toEqual(['generation 4 holds 35 ads']);
});
