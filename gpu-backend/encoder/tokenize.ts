/**
 * Texts to padded token matrices. Texts are sorted into length buckets first, because a batch costs its longest row:
 * one long text among short ones makes the short ones pay for its padding.
 */
import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import { openSpelling, type Spelling } from '../../shared/spelling.ts';
import { paddingId, tokenIds } from '../../shared/token-ids.ts';
import type { Bundle } from './bundle.ts';

/** Upper lengths of the buckets, in tokens; the last is `maxTokens`. */
const BUCKETS = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];

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

/** `json` is the parsed tokenizer.json. */
export function createTokenizer(json: object, maxTokens: number, spelling?: Spelling): TextTokenizer {
  const tokenizer = new Tokenizer(json as ConstructorParameters<typeof Tokenizer>[0], {});
  const pad = BigInt(paddingId(json));
  const encode = tokenIds(tokenizer, { maxTokens, padding: Number(pad), ...(spelling && { spelling }) });

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

/** The tokenizer of a checked bundle, with its spelling where it has one. */
export async function bundleTokenizer({ manifest, paths }: Pick<Bundle, 'manifest' | 'paths'>): Promise<TextTokenizer> {
  const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'));
  const spelling = paths.spelling === undefined ? undefined : openSpelling(await json(paths.spelling));
  return createTokenizer(await json(paths.tokenizer), manifest.maxTokens, spelling);
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
