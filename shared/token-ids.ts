/**
 * What a student reads of a text. Edge and backend cut texts into tokens here, with one tokenizer library: a vector
 * must not depend on where it is made.
 */

import { MOST_UNKNOWN, type Spelling } from './spelling.ts';

/** As much of @huggingface/tokenizers' Tokenizer as is used. */
export interface TokenizerLibrary {
  encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
}

/** Characters per token that tokenisation looks at, at most: bounds the work on a text of any length. */
const CHARACTERS_PER_TOKEN = 32;

/** The id that stands for nothing; `json` is the parsed tokenizer.json. */
export function paddingId(json: {
  padding?: { pad_id?: number } | null;
  added_tokens?: { id: number; content: string }[];
}): number {
  return json.padding?.pad_id ?? json.added_tokens?.find(({ content }) => /^(\[PAD\]|<pad>)$/.test(content))?.id ?? 0;
}

/**
 * Whether a text's ids are those of its words, one after the other: those of a BERT tokenizer are, which splits at
 * spaces before it looks at anything else. `json` is the parsed tokenizer.json.
 */
export function readsByWord(json: {
  normalizer?: { type: string } | null;
  pre_tokenizer?: { type: string } | null;
  model?: { type?: string };
  added_tokens?: { content: string }[];
}): boolean {
  const { normalizer, pre_tokenizer: cut, model, added_tokens: added = [] } = json;
  return (
    model?.type === 'WordPiece' &&
    cut?.type === 'BertPreTokenizer' &&
    (normalizer?.type ?? 'BertNormalizer') === 'BertNormalizer' &&
    !added.some(({ content }) => /\s/.test(content))
  );
}

/** Longer ones are remembered by nobody: they would fill the memory and come once. */
const LONGEST_WORD = 32;

/**
 * Ids of one text with its special tokens, at most `maxTokens`, at least one. The returned function never throws.
 * `rememberedWords` ids of words are kept, at most, which makes the reading of a query six times as fast; none unless
 * {@link readsByWord}.
 */
export function tokenIds(
  tokenizer: TokenizerLibrary,
  {
    maxTokens,
    padding,
    spelling = (text) => text,
    rememberedWords = 0,
  }: { maxTokens: number; padding: number; spelling?: Spelling; rememberedWords?: number },
): (text: string) => number[] {
  // How many special tokens stand before and after the text: those around the bare ids of a probe.
  const bare = tokenizer.encode('a', { add_special_tokens: false }).ids;
  const whole = tokenizer.encode('a').ids;
  const before = Math.max(0, whole.indexOf(bare[0] ?? -1));
  const behind = Math.max(0, whole.length - bare.length - before);
  const first = whole.slice(0, before);
  const last = whole.slice(whole.length - behind);
  /** Words and nothing else, so few of them that spelling looks at each. */
  const plain = new RegExp(`^[\\p{L}\\p{M}\\p{N}]+(?: [\\p{L}\\p{M}\\p{N}]+){0,${MOST_UNKNOWN - 1}}$`, 'u');
  const known = new Map<string, readonly number[]>();

  const idsOfWord = (word: string): readonly number[] => {
    const kept = known.get(word);
    if (kept !== undefined) return kept;
    const { ids } = tokenizer.encode(spelling(word), { add_special_tokens: false });
    if (word.length <= LONGEST_WORD) {
      // Emptied rather than kept in order of use: the words of a language are few, and soon all there again.
      if (known.size >= rememberedWords) known.clear();
      known.set(word, ids);
    }
    return ids;
  };
  const idsOf = (text: string): number[] => {
    if (rememberedWords === 0 || !plain.test(text)) return tokenizer.encode(spelling(text)).ids;
    const ids = [...first];
    for (const word of text.split(' ')) ids.push(...idsOfWord(word));
    ids.push(...last);
    return ids;
  };

  return (text) => {
    const ids = idsOf(text.slice(0, maxTokens * CHARACTERS_PER_TOKEN).toWellFormed());
    if (ids.length === 0) return [padding];
    if (ids.length <= maxTokens) return ids;
    return behind === 0 || maxTokens <= behind
      ? ids.slice(0, maxTokens)
      : [...ids.slice(0, maxTokens - behind), ...ids.slice(-behind)];
  };
}
