/**
 * Texts to padded token matrices. Texts are sorted into length buckets first, because a batch costs its longest row:
 * one long text among short ones makes the short ones pay for its padding.
 */
import { Tokenizer } from '@huggingface/tokenizers';

/** Upper lengths of the buckets, in tokens; the last is `maxTokens`. */
const BUCKETS = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];

/** Characters a token that tokenisation looks at, at most: bounds the work on a text of any length. */
const CHARACTERS_PER_TOKEN = 32;

export interface TokenBatch {
  /** Position of each row's text in the input. */
  indices: number[];
  /** [indices.length, tokens], padded; mask is 1 on real tokens. */
  ids: BigInt64Array;
  mask: BigInt64Array;
  tokens: number;
}

export interface TextTokenizer {
  /** Ids of one text with its special tokens, at most `maxTokens`, at least one. Never throws. */
  encode(text: string): number[];
  /** Batches of similar length that together hold every text, each at most `tokenBudget` padded tokens (or one text). */
  batches(texts: readonly string[], tokenBudget: number): TokenBatch[];
}

function paddingId(json: { padding?: { pad_id?: number } | null; added_tokens?: { id: number; content: string }[] }) {
  return json.padding?.pad_id ?? json.added_tokens?.find(({ content }) => /^(\[PAD\]|<pad>)$/.test(content))?.id ?? 0;
}

/** `json` is the parsed tokenizer.json. */
export function createTokenizer(json: object, maxTokens: number): TextTokenizer {
  const tokenizer = new Tokenizer(json as ConstructorParameters<typeof Tokenizer>[0], {});
  const pad = BigInt(paddingId(json));
  // How many special tokens stand before and behind the text: what lies around the bare ids of a probe.
  const bare = tokenizer.encode('a', { add_special_tokens: false }).ids;
  const whole = tokenizer.encode('a').ids;
  const before = Math.max(0, whole.indexOf(bare[0] ?? -1));
  const behind = Math.max(0, whole.length - bare.length - before);

  const encode = (text: string): number[] => {
    const bounded = text.slice(0, maxTokens * CHARACTERS_PER_TOKEN).toWellFormed();
    const { ids } = tokenizer.encode(bounded);
    if (ids.length === 0) return [Number(pad)];
    if (ids.length <= maxTokens) return ids;
    return behind === 0 || maxTokens <= behind
      ? ids.slice(0, maxTokens)
      : [...ids.slice(0, maxTokens - behind), ...ids.slice(-behind)];
  };

  return {
    encode,
    batches(texts, tokenBudget) {
      const rows = texts.map((text, index) => ({ index, ids: encode(text) }));
      const bucketOf = (length: number) => BUCKETS.findIndex((limit) => length <= limit);
      const groups = Map.groupBy(rows, ({ ids }) => bucketOf(ids.length));
      return [...groups.values()].flatMap((group) => {
        const tokens = Math.max(...group.map(({ ids }) => ids.length));
        const size = Math.max(1, Math.floor(tokenBudget / tokens));
        return Array.from({ length: Math.ceil(group.length / size) }, (_, i) =>
          padded(group.slice(i * size, (i + 1) * size), pad),
        );
      });
    },
  };
}

function padded(rows: { index: number; ids: number[] }[], pad: bigint): TokenBatch {
  const tokens = Math.max(...rows.map(({ ids }) => ids.length));
  const ids = new BigInt64Array(rows.length * tokens).fill(pad);
  const mask = new BigInt64Array(rows.length * tokens);
  for (const [i, row] of rows.entries()) {
    for (const [j, id] of row.ids.entries()) {
      ids[i * tokens + j] = BigInt(id);
      mask[i * tokens + j] = 1n;
    }
  }
  return { indices: rows.map(({ index }) => index), ids, mask, tokens };
}
