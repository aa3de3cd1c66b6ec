/** Text to token ids, with a `tokenizer.json` of Hugging Face's tokenizers; batches are padded on the right. */
import { Tokenizer } from '@huggingface/tokenizers';
import { HarnessError } from '../../shared/problem.ts';
import type { Spelling } from '../../shared/spelling.ts';

/** Token ids of several texts. */
export interface TokenBatch {
  /** int64 [batch, tokens], padded. */
  readonly inputIds: BigInt64Array<ArrayBuffer>;
  /** int64 [batch, tokens], 1 where a token is. */
  readonly attentionMask: BigInt64Array<ArrayBuffer>;
  readonly batch: number;
  readonly tokens: number;
}

export interface TokenizerOptions {
  /** Longer texts are cut to this many tokens, special tokens included. */
  readonly maxTokens: number;
  readonly padId: number;
  /** Puts texts right first; default none. */
  readonly spelling?: Spelling | undefined;
}

/** A tokenizer with the length and padding of one encoder. */
export class TextTokenizer {
  readonly maxTokens: number;
  readonly #padId: number;
  readonly #tokenizer: Tokenizer;
  readonly #spelling: Spelling;
  /** The special token that every text ends with, where there is one. */
  readonly #closing: number | undefined;

  constructor(tokenizerJson: string, { maxTokens, padId, spelling = (text) => text }: TokenizerOptions) {
    this.maxTokens = maxTokens;
    this.#spelling = spelling;
    this.#padId = padId;
    try {
      this.#tokenizer = new Tokenizer(JSON.parse(tokenizerJson), {});
    } catch (cause) {
      throw new HarnessError('bundle_damaged', "tokenizer.json: expected Hugging Face tokenizers' format.", { cause });
    }
    this.#closing = this.#tokenizer.encode('').ids.at(-1);
  }

  /** Token ids of one text, at most `maxTokens`; a cut keeps the closing special token. */
  encode(text: string): number[] {
    const { ids } = this.#tokenizer.encode(this.#spelling(text));
    if (ids.length <= this.maxTokens) return ids;
    const closing = this.#closing === undefined ? [] : [this.#closing];
    return [...ids.slice(0, this.maxTokens - closing.length), ...closing];
  }

  /** Pads to the longest of the batch. */
  pad(rows: readonly ArrayLike<number>[]): TokenBatch {
    const tokens = rows.reduce((longest, row) => Math.max(longest, row.length), 1);
    const inputIds = new BigInt64Array(rows.length * tokens).fill(BigInt(this.#padId));
    const attentionMask = new BigInt64Array(rows.length * tokens);
    rows.forEach((row, i) => {
      for (let j = 0; j < row.length; j++) {
        inputIds[i * tokens + j] = BigInt(row[j]!);
        attentionMask[i * tokens + j] = 1n;
      }
    });
    return { inputIds, attentionMask, batch: rows.length, tokens };
  }
}
