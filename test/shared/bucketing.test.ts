/** Runs in Node and in workerd; test/conformance/database.ts asks the same of SQL. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { armOf, BUCKETS, bucket, Experiment, hash32 } from '../../shared/experiment.ts';
import goldenText from '../golden/bucketing.json?raw';

const golden = JSON.parse(goldenText) as {
  hashes: [text: string, utf8: string, hash: number][];
  buckets: [salt: string, unit: string, bucket: number][];
  arms: { key: string; version: number; arms: [string, number][]; units: [string, string][] }[];
};
const experimentOf = (key: string, arms: [string, number][], version = 1) =>
  Experiment.parse({
    key,
    layer: 'any',
    status: 'running',
    buckets: [0, BUCKETS],
    control: arms[0]![0],
    arms: arms.map(([arm, weight]) => ({ key: arm, weight, parameters: {} })),
    version,
  });

describe('the vectors of another language', () => {
  it('agree on hashes', () => {
    expect(golden.hashes.map(([text]) => [text, hash32(text)])).toEqual(
      golden.hashes.map(([text, , hash]) => [text, hash]),
    );
  });

  it('agree on buckets', () => {
    expect(golden.buckets.map(([salt, unit]) => [salt, unit, bucket(salt, unit)])).toEqual(golden.buckets);
  });

  it.each(golden.arms)('agree on the arms of $key, version $version', ({ key, version, arms, units }) => {
    const experiment = experimentOf(key, arms, version);
    expect(units.map(([unit]) => [unit, armOf(experiment, unit).key])).toEqual(units);
  });
});

it('the hash is that of the UTF-8 bytes, whatever the text', () => {
  const unit = fc.oneof(
    fc.constantFrom('\u007f', '\u0080', '\ud800', '\udc00'),
    fc.string({ unit: 'binary', maxLength: 1 }),
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 12 }), (text) => {
      let h = 0x811c9dc5n;
      for (const byte of new TextEncoder().encode(text)) h = ((h ^ BigInt(byte)) * 0x01000193n) & 0xffffffffn;
      h = ((h ^ (h >> 16n)) * 0x85ebca6bn) & 0xffffffffn;
      h = ((h ^ (h >> 13n)) * 0xc2b2ae35n) & 0xffffffffn;
      expect(hash32(text)).toBe(Number(h ^ (h >> 16n)));
    }),
    { numRuns: 500 },
  );
});

const UNITS = 5_000;
const units = Array.from({ length: UNITS }, (_, i) => `unit-${i}`);
/** 46 keys that differ in little: a digit, a letter, a length. They make 1,035 pairs. */
const KEYS = [
  ...Array.from({ length: 30 }, (_, i) => `exp-${i}`),
  ...Array.from({ length: 8 }, (_, i) => 'a'.repeat(i + 1)),
  ...['checkout', 'checkouts', 'chekcout', 'b', 'c', 'exp-2a', 'exp-2b', '0'],
];
const pairs = KEYS.flatMap((a, i) => KEYS.slice(i + 1).map((b) => [a, b] as const));

/** +1 or -1 a unit. */
const sides = (side: (unit: string) => boolean) => Int8Array.from(units, (unit) => (side(unit) ? 1 : -1));
function phi(a: Int8Array, b: Int8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum / a.length;
}

// Bounds are quantiles of the chi-square distribution; the corpus is fixed, so a test holds always or never.
describe('over 1,035 pairs of similarly named keys', () => {
  it.each([
    ['arms', (key: string, unit: string) => armOf(experimentOfKey(key), unit).key === 'a'],
    ['layers', (key: string, unit: string) => bucket(`layer:${key}`, unit) < BUCKETS / 2],
  ])('%s are independent', (_, side) => {
    const drawn = new Map(KEYS.map((key) => [key, sides((unit) => side(key, unit))]));
    const chiSquares = pairs.map(([a, b]) => UNITS * phi(drawn.get(a)!, drawn.get(b)!) ** 2);
    expect(pairs.length).toBeGreaterThan(1_000);
    // Sum with 1,035 degrees of freedom, between its 0.01 % and 99.99 % quantiles; the largest one with Bonferroni at 1 %.
    const sum = chiSquares.reduce((total, each) => total + each, 0);
    expect(sum).toBeGreaterThan(872);
    expect(sum).toBeLessThan(1_213);
    expect(Math.max(...chiSquares)).toBeLessThan(19.5);
    // |phi| < 3 standard errors for all but the 0.27 % that chance allows, which is 2.8 pairs; 10 or more has p < 0.001.
    expect(chiSquares.filter((each) => each >= 9).length).toBeLessThan(10);
  });

  it('buckets are uniform', () => {
    // 99 degrees of freedom a key; the largest of 46 with Bonferroni at 1 % is the 99.978 % quantile.
    for (const key of KEYS) {
      const cells = new Array<number>(100).fill(0);
      for (const unit of units) cells[Math.floor(bucket(`layer:${key}`, unit) / 100)]! += 1;
      const expected = UNITS / 100;
      expect(cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)).toBeLessThan(156.5);
    }
  });
});

const known = new Map<string, Experiment>();
function experimentOfKey(key: string): Experiment {
  let experiment = known.get(key);
  if (experiment === undefined) {
    experiment = experimentOf(key, [
      ['a', 1],
      ['b', 1],
    ]);
    known.set(key, experiment);
  }
  return experiment;
}
