import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { armOf, assign, BUCKETS, bucket, Experiment, hash32, overlap } from '../../shared/experiment.ts';

const experiment = (patch: Partial<Experiment> = {}) =>
  Experiment.parse({
    key: 'one',
    layer: 'retrieval',
    status: 'running',
    buckets: [0, BUCKETS],
    control: 'a',
    arms: [
      { key: 'a', weight: 1, parameters: {} },
      { key: 'b', weight: 1, parameters: { k: 10 } },
    ],
    ...patch,
  });
const units = (n: number) => Array.from({ length: n }, (_, i) => `unit-${i}`);

test('hash32 is FNV-1a of the UTF-8 bytes, finalised', () => {
  // FNV-1a of '' is the offset basis, of 'a' 0xe40c292c (RFC 9923); the finaliser is MurmurHash3's fmix32.
  const fmix = (h: number) => {
    let x = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) >>> 0;
  };
  expect(hash32('')).toBe(fmix(0x811c9dc5));
  expect(hash32('a')).toBe(fmix(0xe40c292c));
  expect(hash32('foobar')).toBe(fmix(0xbf9cf968));
});

test('buckets are uniform (chi-square over 100 cells, 99.9 % bound)', () => {
  const cells = new Array<number>(100).fill(0);
  for (const unit of units(100_000)) cells[Math.floor(bucket('layer:x', unit) / 100)]!++;
  const chi = cells.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
  expect(chi).toBeLessThan(149); // 99.9 % quantile of chi-square with 99 degrees of freedom
});

test('assignments of similarly named experiments are independent (|phi| < 4 standard errors)', () => {
  const all = units(50_000);
  for (const [x, y] of [
    ['one', 'two'],
    ['exp-1', 'exp-2'],
    ['a', 'aa'],
  ] as const) {
    const a = all.map((unit) => (armOf(experiment({ key: x }), unit).key === 'a' ? 1 : -1));
    const b = all.map((unit) => (armOf(experiment({ key: y }), unit).key === 'a' ? 1 : -1));
    const phi = a.reduce((sum, value, i) => sum + value * b[i]!, 0) / all.length;
    expect(Math.abs(phi)).toBeLessThan(4 / Math.sqrt(all.length));
  }
});

test('weights are kept', () => {
  const weighted = experiment({
    arms: [
      { key: 'a', weight: 19, parameters: {} },
      { key: 'b', weight: 1, parameters: {} },
    ],
  });
  const share = units(50_000).filter((unit) => armOf(weighted, unit).key === 'b').length / 50_000;
  expect(Math.abs(share - 0.05)).toBeLessThan(4 * Math.sqrt((0.05 * 0.95) / 50_000));
});

test('a ramp-up moves nobody who is already in', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.integer({ min: 1, max: BUCKETS - 1 }),
      fc.integer({ min: 1, max: BUCKETS }),
      (unit, x, y) => {
        const [small, large] = [Math.min(x, y), Math.max(x, y)];
        const before = assign(unit, [experiment({ buckets: [0, small] })]);
        const after = assign(unit, [experiment({ buckets: [0, large] })]);
        if (before.length === 1) expect(after).toEqual(before);
      },
    ),
  );
});

test('experiments of one layer exclude each other; draft and stopped ones assign nobody', () => {
  const left = experiment({ key: 'left', buckets: [0, 5000] });
  const right = experiment({ key: 'right', buckets: [5000, BUCKETS] });
  for (const unit of units(2_000)) expect(assign(unit, [left, right])).toHaveLength(1);
  expect(assign('u', [experiment({ status: 'draft' }), experiment({ status: 'stopped' })])).toEqual([]);
});

test('layers are independent and ordered', () => {
  const found = assign('u', [experiment({ key: 'z', layer: 'z' }), experiment({ key: 'y', layer: 'a' })]);
  expect(found.map(({ assignment }) => assignment.layer)).toEqual(['a', 'z']);
});

describe('the schema refuses', () => {
  test.each([
    ['an empty range', { buckets: [5, 5] }],
    ['a control that is no arm', { control: 'c' }],
    ['one arm', { arms: [{ key: 'a', weight: 1, parameters: {} }] }],
    [
      'an arm of weight 0',
      {
        arms: [
          { key: 'a', weight: 0, parameters: {} },
          { key: 'b', weight: 1, parameters: {} },
        ],
      },
    ],
    [
      'two arms of one key',
      {
        arms: [
          { key: 'a', weight: 1, parameters: {} },
          { key: 'a', weight: 1, parameters: {} },
        ],
      },
    ],
  ])('%s', (_, patch) => expect(() => experiment(patch as Partial<Experiment>)).toThrow());
});

test('overlap names the pair that collides', () => {
  const a = experiment({ key: 'a1', buckets: [0, 100] });
  expect(overlap([a, experiment({ key: 'a2', buckets: [99, 200] })])?.map(({ key }) => key)).toEqual(['a1', 'a2']);
  expect(overlap([a, experiment({ key: 'a2', buckets: [100, 200] })])).toBeUndefined();
  expect(overlap([a, experiment({ key: 'a2', layer: 'other', buckets: [0, 100] })])).toBeUndefined();
});
