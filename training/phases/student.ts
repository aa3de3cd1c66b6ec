/**
 * Where a student comes from: the teacher's own checkpoint, to be pruned; another checkpoint, with its own tokenizer and width; or
 * nothing but a configuration. A student of another width than the embedding space ends in a learnt linear map to it.
 */
import { HarnessError } from '../../shared/problem.ts';
import { type EncoderConfig, PROJECTION } from '../nn/encoder.ts';
import { initialWeights, truncatedNormal } from '../nn/initial.ts';
import type { EncoderModel } from '../runner/encoder.ts';
import type { Checkpoint } from '../teacher/checkpoint.ts';
import { TextTokenizer } from '../teacher/tokenizer.ts';
import { prune } from './prune.ts';

/** What the student is made of. */
export type StudentOrigin =
  /** A copy of the teacher. */
  | 'teacher'
  /** A copy of another encoder. */
  | { readonly checkpoint: Checkpoint }
  /** Random weights in this configuration; texts are read with the tokenizer given, or the teacher's. */
  | { readonly scratch: EncoderConfig; readonly tokenizerJson?: string };

export interface StudentOptions {
  readonly from: StudentOrigin;
  /** The teacher, where it is a checkpoint run here; one behind an endpoint or on disk has no weights to copy. */
  readonly teacher?: Checkpoint;
  /** Width of the embedding space. */
  readonly dimension: number;
  /** Longest query, in tokens. */
  readonly maxTokens: number;
  readonly seed: number;
}

/** A student that no training has touched. */
export interface InitialStudent {
  readonly model: EncoderModel;
  readonly tokenizer: TextTokenizer;
  /** The text of `tokenizer.json`, which the bundle carries. */
  readonly tokenizerJson: string;
}

function origin({ from, teacher, seed }: StudentOptions): { model: EncoderModel; tokenizerJson: string } {
  if (typeof from === 'object' && 'scratch' in from) {
    const config = from.scratch;
    const tokenizerJson = from.tokenizerJson ?? teacher?.tokenizerJson;
    if (tokenizerJson === undefined)
      throw new HarnessError(
        'configuration',
        'student from scratch: expected a tokenizer.json, or a teacher with one, received neither.',
      );
    // A causal encoder has seen the whole text at its last token only.
    const pooling = { mode: config.model_type === 'qwen3' ? 'last' : 'mean', normalize: true } as const;
    return { model: { config, pooling, weights: initialWeights({ config, pooling }, seed) }, tokenizerJson };
  }
  const checkpoint = from === 'teacher' ? teacher : from.checkpoint;
  if (!checkpoint)
    throw new HarnessError(
      'configuration',
      'student from the teacher: expected a teacher that is a checkpoint, received one without weights; start from a checkpoint or from scratch.',
    );
  const { config, pooling, weights, tokenizerJson } = checkpoint;
  return { model: { config, pooling, weights }, tokenizerJson };
}

/** With a random linear map to the width of the space, where the hidden size is another. */
function projected(model: EncoderModel, { dimension, seed }: StudentOptions): EncoderModel {
  const hidden = model.config.hidden_size;
  if (hidden === dimension) return model;
  const name = `${PROJECTION}.weight`;
  // Of this width, a vector keeps its length on average.
  const weight = truncatedNormal([hidden, dimension], { width: 1 / Math.sqrt(dimension), name, seed });
  return { ...model, projection: dimension, weights: new Map([...model.weights, [name, weight]]) };
}

/** The student before pruning and training. @throws HarnessError where the origin lacks what it needs. */
export function initialStudent(options: StudentOptions): InitialStudent {
  const { maxTokens } = options;
  const { model, tokenizerJson } = origin(options);
  const { num_hidden_layers: layers, pad_token_id: padId } = model.config;
  const keep = [...Array(layers).keys()];
  return {
    model: projected(prune(model, { keep, maxTokens }), options),
    tokenizer: new TextTokenizer(tokenizerJson, { maxTokens, padId }),
    tokenizerJson,
  };
}
