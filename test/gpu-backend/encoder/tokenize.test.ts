import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createTokenizer, type TextTokenizer } from '../../../gpu-backend/encoder/tokenize.ts';
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

  it('hold every text once, within the budget, padded only to the longest of their own bucket', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 60 }), (list, budget) => {
        const batches = tokenizer.batches(list, budget);
        expect(batches.flatMap(({ indices }) => indices).toSorted((a, b) => a - b)).toEqual([...list.keys()]);
        for (const { indices, ids, mask, tokens } of batches) {
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
          expect(Math.min(...lengths) > 8 || tokens <= 8).toBe(true);
        }
      }),
      { seed: 5, numRuns: 100 },
    );
  });
});
