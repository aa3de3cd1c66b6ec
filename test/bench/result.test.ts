/** What `npm run bench -- NAME --only PART` makes of the day's result file. */
import { expect, test } from 'vitest';
import { type Result, withPart } from '../../bench/result.ts';

const machine = {
  cpu: 'AMD EPYC',
  cores: 2,
  memoryGb: 24,
  platform: 'linux-x64',
  node: 'v24.21.0',
  onnxruntime: '1.30.0',
};
const row = (metric: string, value: number) => ({ metric, value, unit: 'ms' });
const whole: Result = {
  bench: 'backend',
  quick: false,
  date: '2026-11-23T05:00:00.000Z',
  machine,
  rows: [row('a', 1), row('b', 2), row('c', 3)],
};
const part: Result = { ...whole, date: '2026-11-23T09:00:00.000Z', rows: [row('b', 20), row('d', 40)] };

test('rows measured again take the places that they had, new ones come last', () => {
  expect(withPart(whole, part)).toEqual({
    result: { ...whole, date: part.date, rows: [row('a', 1), row('b', 20), row('c', 3), row('d', 40)] },
  });
});

test('details of a part take the place of its own, and no other', () => {
  const merged = withPart({ ...whole, detail: { sums: 1, people: 2 } }, { ...part, detail: { sums: 3 } });
  expect(merged).toMatchObject({ result: { detail: { sums: 3, people: 2 } } });
});

test.each([
  [{ cpu: 'Apple M4' }, 'its rows are of another machine (cpu AMD EPYC) than this one (cpu Apple M4)'],
  [
    { cores: 8, memoryGb: 64 },
    'its rows are of another machine (cores 2, memoryGb 24) than this one (cores 8, memoryGb 64)',
  ],
  [{ node: 'v26.0.0' }, 'its rows are of another machine (node v24.21.0) than this one (node v26.0.0)'],
  [{ gpu: 'H200' }, 'its rows are of another machine (gpu unknown) than this one (gpu H200)'],
])('rows of two machines never meet in one table: %o', (other, refused) => {
  expect(withPart(whole, { ...part, machine: { ...machine, ...other } })).toEqual({ refused });
});

test('without the whole there is nothing to put a part into', () => {
  expect(withPart(undefined, part)).toEqual({ refused: 'the whole was not measured that day' });
});
