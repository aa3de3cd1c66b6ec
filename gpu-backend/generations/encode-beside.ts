/**
 * The student's vectors of texts that are encoded beside the queries: a few at a time, so that a query never waits long behind
 * them in the encoder's queue.
 */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { HarnessError } from '../../shared/problem.ts';
import type { Encoder } from '../encoder/encoder.ts';

export interface EncodeBesideOptions {
  /** Texts in all, and the one of each number; it is asked for when its turn comes. */
  count: number;
  textOf: (index: number) => string;
  /** Asks again where the queue is full, as often as it takes: a build must not fail because there are many queries. */
  patient?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** Texts encoded at a time. */
const CHUNK = 16;

/** One [dimension] float32 per text, in their order. Throws what the encoder throws, and the signal's reason. */
export async function* encodeBeside(
  encoder: Pick<Encoder, 'encode'>,
  { count, textOf, patient = false, signal }: EncodeBesideOptions,
): AsyncGenerator<Float32Array, void> {
  const encode = async (texts: readonly string[]): Promise<Float32Array[]> => {
    for (;;) {
      try {
        return (await encoder.encode(texts, signal === undefined ? {} : { signal })).vectors;
      } catch (error) {
        if (!patient || !(error instanceof HarnessError) || error.code !== 'too_many_requests') throw error;
        await pause(1000 * (error.retryAfterSeconds ?? 1), undefined, { signal }).catch(() => {});
        signal?.throwIfAborted();
      }
    }
  };
  for (let from = 0; from < count; from += CHUNK) {
    if (from > 0) await nextTurn(); // what the encoder remembers it answers without one
    yield* await encode(Array.from({ length: Math.min(CHUNK, count - from) }, (_, i) => textOf(from + i)));
  }
}
