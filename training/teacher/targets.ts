/**
 * The teacher's vectors of texts, each computed once and kept on disk: a killed run goes on at the part where it was, and a changed
 * dataset pays only for its new texts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readTensors, writeTensors } from '../data/tensor-file.ts';
import { readPart, type TextPart } from '../data/texts.ts';

export interface TargetPart {
  readonly texts: readonly string[];
  /** float32 [texts, dimension]. */
  readonly vectors: Float32Array;
}

export interface VectorStoreOptions {
  /** One folder a teacher and number of parts. */
  readonly folder: string;
  readonly dimension: number;
}

/** Texts encoded between two writes to disk: what a killed run computes again at most. */
const TEXTS_A_WRITE = 8_192;

export class VectorStore {
  readonly #options: VectorStoreOptions;

  constructor(options: VectorStoreOptions) {
    this.#options = options;
  }

  /** Makes sure that every text of a part has its vector. `onProgress` is told how many have, from time to time. */
  async prepare(
    part: TextPart,
    encode: (texts: readonly string[]) => Promise<Float32Array>,
    onProgress: (texts: number) => void,
  ): Promise<void> {
    const { dimension } = this.#options;
    const texts = await readPart(part);
    let stored = await this.#read(part);
    const known = new Set(stored.texts);
    const missing = texts.filter((text) => !known.has(text));
    for (let start = 0; start < missing.length; start += TEXTS_A_WRITE) {
      onProgress(texts.length - missing.length + start);
      const fresh = missing.slice(start, start + TEXTS_A_WRITE);
      const vectors = new Float32Array(stored.vectors.length + fresh.length * dimension);
      vectors.set(stored.vectors);
      vectors.set(await encode(fresh), stored.vectors.length);
      stored = { texts: [...stored.texts, ...fresh], vectors };
      await this.#write(part, stored);
    }
    onProgress(texts.length);
  }

  /** The part's texts with their vectors, in the part's order. @throws Error where `prepare` has not run. */
  async read(part: TextPart): Promise<TargetPart> {
    const { dimension } = this.#options;
    const texts = await readPart(part);
    const stored = await this.#read(part);
    const rowOf = new Map(stored.texts.map((text, row) => [text, row]));
    const vectors = new Float32Array(texts.length * dimension);
    texts.forEach((text, i) => {
      const row = rowOf.get(text);
      if (row === undefined) throw new Error(`no vector of '${text}' in ${this.#path(part)}`);
      vectors.set(stored.vectors.subarray(row * dimension, (row + 1) * dimension), i * dimension);
    });
    return { texts, vectors };
  }

  #path = ({ index }: TextPart): string => join(this.#options.folder, `${index}.safetensors`);

  async #read(part: TextPart): Promise<TargetPart> {
    if (!existsSync(this.#path(part))) return { texts: [], vectors: new Float32Array() };
    const { tensors } = await readTensors(this.#path(part));
    return {
      texts: new TextDecoder().decode(tensors.get('texts')!.data as Uint8Array).split('\n'),
      vectors: tensors.get('vectors')!.data as Float32Array,
    };
  }

  async #write(part: TextPart, { texts, vectors }: TargetPart): Promise<void> {
    const bytes = new TextEncoder().encode(texts.join('\n'));
    await writeTensors(this.#path(part), {
      tensors: new Map([
        ['vectors', { dtype: 'float32', shape: [texts.length, this.#options.dimension], data: vectors }],
        ['texts', { dtype: 'uint8', shape: [bytes.length], data: bytes }],
      ]),
      metadata: {},
    });
  }
}
