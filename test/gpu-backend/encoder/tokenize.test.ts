import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  cheapestRuns,
  createTokenizer,
  type LengthCount,
  type TextTokenizer,
} from '../../../gpu-backend/encoder/tokenize.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { tinyBundle } from '../../fixtures/tiny-bundle.ts';

const at = testFolder('tokenize');
let json: object;
let tokenizer: TextTokenizer;
const MAX = 12;

beforeAll(async () => {
  const { paths } = await tinyBundle({ dir: at('bundle'), words: ['red', 'sofa'] });
  json = JSON.parse(await readFile(paths.tokenizer, 'utf8'));
  tokenizer = createTokenizer(json, MAX);
});

describe('encode', () => {
  it('puts the special tokens around the words', () => {
    const [cls, red, sofa, sep] = tokenizer.encode('Red sofa');
    expect([cls, sep]).toEqual([2, 3]);
    expect(red).not.toBe(sofa);
    expect(tokenizer.encode('')).toEqual([2, 3]);
  });

  it('keeps the last special token when it cuts', () => {
    const ids = tokenizer.encode('red sofa '.repeat(100));
    expect(ids).toHaveLength(MAX);
    expect([ids[0], ids.at(-1)]).toEqual([2, 3]);
    expect(ids.slice(0, 5)).toEqual(tokenizer.encode('red sofa red sofa').slice(0, 5));
  });

  it('gives a tokenizer without special tokens something to read in an empty text', () => {
    const bare = createTokenizer({ ...json, post_processor: null }, MAX);
    expect(bare.encode('')).toEqual([0]);
    expect(bare.encode('red sofa '.repeat(100))).toHaveLength(MAX);
  });
});

describe('batches', () => {
  const texts = fc.array(fc.constantFrom('red', 'red sofa', 'r o m a n', 'red sofa '.repeat(20), ''), {
    maxLength: 40,
  });

  it('hold every text once, within the budget, padded only to the longest of their own', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 60 }), (list, budget) => {
        const batches = tokenizer.batches(list, budget);
        expect(batches.flatMap(({ indices }) => indices).toSorted((a, b) => a - b)).toEqual([...list.keys()]);
        for (const { indices, lengths: told, ids, mask, tokens } of batches) {
          expect(ids).toHaveLength(indices.length * tokens);
          if (indices.length > 1) expect(indices.length * tokens).toBeLessThanOrEqual(budget);
          const lengths = indices.map((index, row) => {
            const own = tokenizer.encode(list[index]!);
            const padding = new Array(tokens - own.length).fill(0);
            expect([...ids.subarray(row * tokens, (row + 1) * tokens)].map(Number)).toEqual([...own, ...padding]);
            const marks = [...mask.subarray(row * tokens, (row + 1) * tokens)].map(Number);
            expect(marks).toEqual([...own.map(() => 1), ...padding]);
            return own.length;
          });
          expect(Math.max(...lengths)).toBe(tokens);
          expect(told).toEqual(lengths);
        }
      }),
      { seed: 5, numRuns: 100 },
    );
  });

  it('are those that cost least, of all ways to cut the lengths into neighbours', () => {
    // Within the budget all of them together, so that a group is a run.
    /** What runs of so many rows, shortest texts first, cost in tokens: a 24th of the budget each, and their padded rows. */
    const cost = (runs: readonly number[], lengths: readonly number[], budget: number) => {
      let at = 0;
      return runs.reduce((sum, rows) => {
        at += rows;
        return sum + budget / 24 + rows * lengths[at - 1]!;
      }, 0);
    };
    const lengthsOf = (counts: readonly LengthCount[]) =>
      counts.flatMap(([length, texts]) => new Array<number>(texts).fill(length));
    const counts = fc
      .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9 })), {
        maxLength: 6,
        selector: ([length]) => length,
      })
      .map((list) => list.toSorted(([a], [b]) => a - b) as LengthCount[]);
    fc.assert(
      fc.property(counts, fc.integer({ min: 2_160, max: 4_000 }), (list, budget) => {
        const all = lengthsOf(list);
        const runs = cheapestRuns(list, budget);
        expect(runs.reduce((sum, rows) => sum + rows, 0)).toBe(all.length);
        let least = list.length === 0 ? 0 : Number.POSITIVE_INFINITY;
        for (let cuts = 0; cuts < 2 ** Math.max(0, list.length - 1); cuts++) {
          const cut: number[] = [];
          for (const [i, [, texts]] of list.entries()) {
            if (i === 0 || ((cuts >> (i - 1)) & 1) === 1) cut.push(0);
            cut[cut.length - 1]! += texts;
          }
          least = Math.min(least, cost(cut, all, budget));
        }
        expect(cost(runs, all, budget)).toBeCloseTo(least, 6);
      }),
      { seed: 6, numRuns: 300 },
    );
  });

  it('keep short texts from paying for a long one, and a few texts from paying for many runs', () => {
    const sizes = (list: string[], budget: number) =>
      tokenizer.batches(list, budget).map(({ indices }) => indices.length);
    const long = 'red sofa '.repeat(20);
    expect(sizes(['red', long, 'sofa', 'red'], 192)).toEqual([3, 1]);
    expect(sizes(['red', 'red sofa', 'sofa', 'red sofa red'], 192)).toEqual([4]);
  });
});
