/** What an encoder architecture supplies: its graph, and the names of its parameters that other code asks for. */
import type { Graph, Value } from '../graph/graph.ts';
import type { Dim } from '../graph/ops.ts';

/** A padded batch of token ids. */
export interface TokenInputs {
  /** int64 [batch, tokens]. */
  readonly inputIds: Value;
  /** int64 [batch, tokens], 1 where a token is; padding is on the right. */
  readonly attentionMask: Value;
}

/** Declares the two inputs of an encoder. */
export function tokenInputs(g: Graph, [batch, tokens]: readonly [Dim, Dim]): TokenInputs {
  return {
    inputIds: g.input('input_ids', 'int64', [batch, tokens]),
    attentionMask: g.input('attention_mask', 'int64', [batch, tokens]),
  };
}

/** Parameters that hold a layer's feed-forward units: removing a unit removes one column or row of each. */
export interface FeedForwardNames {
  /** One unit a place of the last axis: [hidden, units], [units]. */
  readonly into: readonly string[];
  /** One unit a row: [units, hidden]. The left operand of its product is the units' activation. */
  readonly outOf: string;
}

/** An architecture over configurations of its own. */
export interface Architecture<Config> {
  /** The table of word vectors, [vocabulary, hidden]. */
  readonly wordTable: string;
  /** The table of position vectors, [positions, hidden], where positions are learnt. */
  readonly positionTable?: string;
  /** What the names of a layer's parameters begin with. */
  layerPrefix(layer: number): string;
  feedForward(layer: number): FeedForwardNames;
  /** Hidden states after the embeddings and after each layer, float32 [batch, tokens, hidden] each. */
  states(g: Graph, config: Config, inputs: TokenInputs): Value[];
  /** What pooling reads, from the last of the states; same shape. */
  output(g: Graph, config: Config, last: Value): Value;
}
