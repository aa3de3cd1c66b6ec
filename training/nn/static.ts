/**
 * An encoder without layers or positions: a text is the mean of its tokens' vectors (model2vec, Tulkens and van Dongen, 2024; the
 * weighted average of Arora et al., 2017, with the weights inside the vectors). As an architecture like the others it is trained,
 * emitted and run by the same code.
 */
import { z } from 'zod';
import type { Architecture } from './architecture.ts';

export const StaticConfig = z.object({
  model_type: z.literal('static'),
  vocab_size: z.int().positive(),
  /** Width of the token vectors. */
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().default(0),
  intermediate_size: z.int().default(0),
  /** Longest text, in tokens; no vector depends on a position. */
  max_position_embeddings: z.int().positive(),
  pad_token_id: z.int().nonnegative(),
});
export type StaticConfig = z.infer<typeof StaticConfig>;

/** Name of the table of token vectors, [vocabulary, hidden]. */
export const TOKEN_TABLE = 'tokens';

/** A look-up a token. */
export const STATIC: Architecture<StaticConfig> = {
  // What phases may leave untrained under this name is here the whole model: no parameter has it.
  wordTable: '',
  layerPrefix: (layer) => `layers.${layer}.`,
  feedForward: () => {
    throw new Error('a static encoder has no feed-forward units');
  },
  states: (g, { vocab_size, hidden_size }, { inputIds }) => [
    g.gather(g.parameter(TOKEN_TABLE, [vocab_size, hidden_size]), inputIds),
  ],
  output: (_g, _config, last) => last,
};
