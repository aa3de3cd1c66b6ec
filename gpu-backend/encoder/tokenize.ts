/**
 * Texts to padded token matrices. Texts of similar length go together, because a run costs its longest row: one long
 * text among short ones makes the short ones pay for its padding. They are divided as finely as costs least.
 */
import { Tokenizer } from '@huggingface/tokenizers';
import * as z from 'zod';
import { openSpelling, type Spelling, SpellingTable } from '../../shared/spelling.ts';
import { paddingId, readsByWord, tokenIds } from '../../shared/token-ids.ts';
import { type Bundle, readBundleJson } from './bundle.ts';

/**
 * A run costs this share of the budget before its first token. Measured for the bundled student on a CPU, where the
 * budget is 192: 0.2 ms, and 0.027 ms per token.
 */
const RUN_SHARE = 1 / 24;

/** The words of a market's queries, most of them; a few megabytes. */
const REMEMBERED_WORDS = 1 << 15;

export interface TokenBatch {
  /** Position of each row's text in the input, and how many of its tokens are real. */
  indices: number[];
  lengths: number[];
  /** [indices.length, tokens], padded; mask is 1 on real tokens. */
  ids: BigInt64Array;
  mask: BigInt64Array;
  tokens: number;
}

export interface TextTokenizer {
  /** Ids of one text with its special tokens, at most `maxTokens`, at least one. Never throws. */
  encode(text: string): number[];
  /**
   * Batches of similar length that together hold every text, each at most `tokenBudget` padded tokens (or one text); those
   * that cost least, for texts of one length together.
   */
  batches(texts: readonly string[], tokenBudget: number): TokenBatch[];
}

/** `json` is the parsed tokenizer.json. */
export function createTokenizer(json: object, maxTokens: number, spelling?: Spelling): TextTokenizer {
  const tokenizer = new Tokenizer(json as ConstructorParameters<typeof Tokenizer>[0], {});
  const pad = BigInt(paddingId(json));
  const rememberedWords = readsByWord(json) ? REMEMBERED_WORDS : 0;
  const encode = tokenIds(tokenizer, {
    maxTokens,
    padding: Number(pad),
    rememberedWords,
    ...(spelling && { spelling }),
  });

  return {
    encode,
    batches(texts, tokenBudget) {
      const rows = texts.map((text, index) => ({ index, ids: encode(text) }));
      const byLength = Map.groupBy(
        rows.sort((a, b) => a.ids.length - b.ids.length),
        ({ ids }) => ids.length,
      );
      const counts = [...byLength].map(([length, { length: texts }]): LengthCount => [length, texts]);
      let from = 0;
      return cheapestRuns(counts, tokenBudget).map((size) => {
        from += size;
        return padded(rows.slice(from - size, from), pad);
      });
    },
  };
}

/** As much of tokenizer.json as is used here; the library reads the rest. */
const TokenizerJson = z.looseObject({});

/** The tokenizer of a checked bundle, with its spelling where it has one. Throws as {@link readBundleJson}. */
export async function bundleTokenizer({ manifest, paths }: Pick<Bundle, 'manifest' | 'paths'>): Promise<TextTokenizer> {
  const table = paths.spelling === undefined ? undefined : await readBundleJson(paths.spelling, SpellingTable);
  const json = await readBundleJson(paths.tokenizer, TokenizerJson);
  return createTokenizer(json, manifest.maxTokens, table && openSpelling(table));
}

/** A length in tokens, and how many texts have it. */
export type LengthCount = [length: number, texts: number];

/**
 * How many texts, from the shortest on, each run takes so that all of them together cost least: over the ways to cut the
 * lengths, which ascend, into groups of neighbours, by dynamic programming. A group over the budget takes several runs.
 */
export function cheapestRuns(counts: readonly LengthCount[], tokenBudget: number): number[] {
  const perRun = RUN_SHARE * tokenBudget;
  const best = [{ cost: 0, from: 0, texts: 0, size: 0 }];
  for (let to = 1; to <= counts.length; to++) {
    const longest = counts[to - 1]![0];
    const size = Math.max(1, Math.floor(tokenBudget / longest));
    let cheapest = { cost: Number.POSITIVE_INFINITY, from: 0, texts: 0, size };
    let texts = 0;
    for (let from = to - 1; from >= 0; from--) {
      texts += counts[from]![1];
      const cost = best[from]!.cost + Math.ceil(texts / size) * perRun + texts * longest;
      if (cost < cheapest.cost) cheapest = { cost, from, texts, size };
    }
    best.push(cheapest);
  }
  const runs: number[] = [];
  for (let at = counts.length; at > 0; at = best[at]!.from) {
    const { texts, size } = best[at]!;
    for (let left = texts; left > 0; left -= size) runs.unshift(Math.min(size, left));
  }
  return runs;
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
  return {
    indices: rows.map(({ index }) => index),
    lengths: rows.map(({ ids }) => ids.length),
    ids,
    mask,
    tokens,
  };
}
