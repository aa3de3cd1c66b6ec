/** Runs in Node and in workerd: the Worker and the backend must read the same of a query, and the right thing. */
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { paddingId, tokenIds } from '../../shared/token-ids.ts';
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
});
