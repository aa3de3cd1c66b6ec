/** What a student reads of a text. Edge and backend cut texts here, with one tokenizer library: a vector must not depend on where it is made. */

import type { Spelling } from './spelling.ts';

/** As much of @huggingface/tokenizers' Tokenizer as is used. */
export interface TokenizerLibrary {
  encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
}

/** Characters a token that tokenisation looks at, at most: bounds the work on a text of any length. */
const CHARACTERS_PER_TOKEN = 32;

/** The id that stands for nothing; `json` is the parsed tokenizer.json. */
export function paddingId(json: {
  padding?: { pad_id?: number } | null;
  added_tokens?: { id: number; content: string }[];
}): number {
  return json.padding?.pad_id ?? json.added_tokens?.find(({ content }) => /^(\[PAD\]|<pad>)$/.test(content))?.id ?? 0;
}

/** Ids of one text with its special tokens, at most `maxTokens`, at least one. What it returns never throws. */
export function tokenIds(
  tokenizer: TokenizerLibrary,
  { maxTokens, padding, spelling = (text) => text }: { maxTokens: number; padding: number; spelling?: Spelling },
): (text: string) => number[] {
  // How many special tokens stand before and behind the text: what lies around the bare ids of a probe.
  const bare = tokenizer.encode('a', { add_special_tokens: false }).ids;
  const whole = tokenizer.encode('a').ids;
  const before = Math.max(0, whole.indexOf(bare[0] ?? -1));
  const behind = Math.max(0, whole.length - bare.length - before);
  return (text) => {
    const bounded = text.slice(0, maxTokens * CHARACTERS_PER_TOKEN).toWellFormed();
    const { ids } = tokenizer.encode(spelling(bounded));
    if (ids.length === 0) return [padding];
    if (ids.length <= maxTokens) return ids;
    return behind === 0 || maxTokens <= behind
      ? ids.slice(0, maxTokens)
      : [...ids.slice(0, maxTokens - behind), ...ids.slice(-behind)];
  };
}
