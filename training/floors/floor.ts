/** A trained floor: a query encoder in the teacher's space that a student must beat to be worth its training. */
import type { LossPoint } from '../phases/train.ts';
import { type EncoderModel, encodeTexts } from '../runner/encoder.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';

/** The trained encoder, ready to be measured. */
export interface Floor {
  readonly model: EncoderModel;
  /** By phase, in the order in which they ran. */
  readonly losses: { readonly align?: readonly LossPoint[]; readonly refine: readonly LossPoint[] };
  /** Vectors of normalized queries, float32 [texts, dimension], rows of length 1. */
  readonly encode: (texts: readonly string[]) => Promise<Float32Array<ArrayBuffer>>;
}

/** Encodes with a session that lives for the call: floors are measured once. */
export const encoderOf =
  (model: EncoderModel, options: { tokenizer: TextTokenizer; threads?: number | undefined }): Floor['encode'] =>
  (texts) =>
    encodeTexts(model, texts, options);
