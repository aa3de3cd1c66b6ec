/** Runs in Node and in workerd: the Worker and the backend must read the same of a query, and the right thing. */
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSpelling } from '../../shared/spelling.ts';
import { paddingId, readsByWord, tokenIds } from '../../shared/token-ids.ts';
// As text: bench/peers/tokenizer.py makes it, and module loaders are particular about some of its characters.
import goldenText from '../golden/tokenizer.json?raw';

const golden = JSON.parse(goldenText) as { tokenizer: object; cases: [text: string, ids: number[]][] };
const library = new Tokenizer(golden.tokenizer as ConstructorParameters<typeof Tokenizer>[0], {});
const read = (maxTokens: number) => tokenIds(library, { maxTokens, padding: paddingId(golden.tokenizer) });
const LONGEST = Math.max(...golden.cases.map(([, ids]) => ids.length));

describe('tokenIds', () => {
  it('are those of the reference implementation, for every text of the golden set', () => {
    const ids = read(LONGEST);
    expect(golden.cases.length).toBeGreaterThan(400);
    expect(golden.cases.map(([text]) => [text, ids(text)])).toEqual(golden.cases);
  });

  it('are one at least, also of a text that a tokenizer without special tokens makes none of', () => {
    const encode = (text: string) => ({ ids: [...text].map((letter) => letter.charCodeAt(0)) });
    const ids = tokenIds({ encode }, { maxTokens: 2, padding: 3 });
    expect([ids(''), ids('a'), ids('abc')]).toEqual([[3], [97], [97, 98]]);
  });

  it('are cut to the length of the model, with the special token that ends every text', () => {
    const ids = read(6);
    for (const [text, whole] of golden.cases) {
      expect(ids(text)).toEqual(whole.length <= 6 ? whole : [...whole.slice(0, 5), whole.at(-1)]);
    }
  });

  describe('that are remembered word by word', () => {
    const spelling = openSpelling({ suggested: 'running shoes table blue', known: 'cable' });
    const options = { maxTokens: LONGEST, padding: paddingId(golden.tokenizer), spelling };

    it('are those of the whole text, whatever it is and whatever was asked before', () => {
      const [fresh, remembering] = [
        tokenIds(library, options),
        tokenIds(library, { ...options, rememberedWords: 5 }), // so few that the memory is begun anew all the time
      ];
      // Of many slips spelling puts the first twelve right.
      const slips = [12, 13, 20].map((count) => new Array(count).fill('tabel').join(' '));
      for (const text of [...golden.cases.map(([text]) => text), ...slips])
        expect([text, remembering(text)]).toEqual([text, fresh(text)]);
      const word = fc.oneof(
        fc.constantFrom(
          'tabel',
          'runing',
          'shoes',
          'ΟΔΟΣ',
          'Σ',
          '靴ガ',
          'e\u0301',
          '\u0301',
          '12',
          '[MASK]',
          "l'eau",
          'x-y',
          '',
        ),
        fc.string({ unit: 'binary' }),
      );
      const text = fc
        .tuple(fc.array(word, { maxLength: 30 }), fc.constantFrom(' ', '  ', '\u3000'))
        .map(([all, gap]) => all.join(gap));
      fc.assert(
        fc.property(text, (asked) => {
          expect(remembering(asked)).toEqual(fresh(asked));
        }),
        { seed: 11, numRuns: 300 },
      );
    });

    it('are asked of the library once a word, of a text with more than words each time', () => {
      const asked: string[] = [];
      const counting = {
        encode(text: string, how?: { add_special_tokens?: boolean }) {
          asked.push(text);
          return library.encode(text, how);
        },
      };
      const ids = tokenIds(counting, { ...options, rememberedWords: 3 });
      asked.length = 0;
      for (const text of ['runing shoes', 'shoes runing', 'shoes, blue', 'shoes, blue', `${'u'.repeat(33)} shoes`])
        ids(text);
      expect(asked).toEqual(['running', 'shoes', 'shoes, blue', 'shoes, blue', 'u'.repeat(33)]);
      // Neither more words than that are kept, nor a long one.
      const anew = tokenIds(counting, { ...options, rememberedWords: 3 });
      asked.length = 0;
      const long = 'u'.repeat(33);
      for (const text of ['one', 'two', 'one', 'three', 'four', 'one', long, long]) anew(text);
      expect(asked).toEqual(['one', 'two', 'three', 'four', 'one', long, long]);
    });

    it('are so of tokenizers that cut at spaces first, and of no others', () => {
      expect(readsByWord(golden.tokenizer)).toBe(true);
      for (const other of [
        { model: { type: 'BPE' } },
        { pre_tokenizer: null },
        { pre_tokenizer: { type: 'Metaspace' } },
        { normalizer: { type: 'Sequence' } },
        { added_tokens: [{ content: 'two words' }] },
      ])
        expect(readsByWord({ ...golden.tokenizer, ...other })).toBe(false);
    });
  });
});
