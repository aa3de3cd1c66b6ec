import { expect, it } from 'vitest';
import type { LoadedStudent } from '../../../edge/student/load.ts';
import { QueryEncoder } from '../../../edge/student/query-encoder.ts';

it('loads a student once at a time, and again five minutes after a load that died with its request', async () => {
  let nowMs = 1_000_000;
  const loads: ((student: LoadedStudent) => void)[] = [];
  const encoder = new QueryEncoder({
    load: () => new Promise((resolve) => loads.push(resolve)),
    now: () => nowMs,
    onError: () => undefined,
  });
  const work: Promise<unknown>[] = [];
  const request = () => encoder.keepUp((each) => work.push(each));
  request();
  nowMs += 299_999;
  request();
  expect(loads).toHaveLength(1);
  nowMs += 1;
  request();
  expect(loads).toHaveLength(2);
  loads[1]!({ manifest: { name: 'tiny-1' }, encode: () => new Float32Array() } as never);
  await work[1];
  nowMs += 300_000;
  request();
  expect([encoder.model, loads.length]).toEqual(['tiny-1', 2]);
});
