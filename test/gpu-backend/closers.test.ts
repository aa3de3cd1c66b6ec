/** Whatever hangs or fails while the service stops, everything else is let go of, and it is told. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { closeAll, inTime } from '../../gpu-backend/closers.ts';

test('in reverse order, lists side by side, each once, whatever fails, throws or hangs', async () => {
  const said: string[] = [];
  const log = pino({ base: null }, { write: (line) => said.push(JSON.parse(line).err?.message ?? 'stopped') });
  const ended: string[] = [];
  const other = Promise.withResolvers<void>();
  await closeAll(
    [
      () => void ended.push('folder'),
      async () => Promise.reject(new Error('the database fails')),
      () => {
        throw new Error('the model throws');
      },
      [
        // Ends only once the one after it has begun: side by side.
        async () => {
          await other.promise;
          ended.push('first');
        },
        inTime('rollup', () => new Promise(() => {}), 1),
        inTime('canary', () => Promise.reject(new Error('the canary fails'))),
        async () => {
          other.resolve();
          await nextTurn();
          ended.push('last');
        },
      ],
    ],
    log,
  );
  expect(ended).toEqual(['first', 'last', 'folder']);
  expect(said).toEqual([
    'rollup: expected to end within 1 ms; left as it is',
    'the canary fails',
    'the model throws',
    'the database fails',
    'stopped',
  ]);
});

test('what ends in time leaves no timer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  await inTime('rollup', async () => {}, 60_000)();
  expect(timers()).toBe(before);
});
