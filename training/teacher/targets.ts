/**
 * The teacher's vectors of texts, each computed once and kept on disk: a killed run continues where it was, and a
 * changed dataset or catalogue pays only for its new texts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { hash32 } from '../data/seeded.ts';
import { readTensors, writeTensors } from '../data/tensor-file.ts';

/** Texts with their vectors. */
export interface StoredVectors {
  readonly texts: readonly string[];
  /** float32 [texts, dimension]. */
  readonly vectors: Float32Array;
}

export interface VectorStoreOptions {
  /** One folder a teacher and number of parts. */
  readonly folder: string;
  readonly dimension: number;
}

/** Texts whose hash falls into one file of the store. */
export interface StorePart {
  readonly index: number;
  readonly texts: readonly string[];
}

/** Vectors [texts, dimension] of texts, in their order. */
export type Encode = (texts: readonly string[]) => Promise<Float32Array>;

/** How any texts are looked up. */
export interface LookUp {
  readonly parts: number;
  readonly keys?: readonly string[];
  readonly encode: Encode;
  readonly onProgress: (texts: number) => void;
}

/** Texts encoded between two writes to disk: what a killed run computes again at most. */
const TEXTS_A_WRITE = 8_192;

/** Vectors of one teacher and role on disk, spread over files by the hash of the text. */
export class VectorStore {
  readonly #options: VectorStoreOptions;

  constructor(options: VectorStoreOptions) {
    this.#options = options;
  }

  /**
   * Makes sure that every text of a part has its vector. `onProgress` is called with how many have one, from time to
   * time.
   */
  async prepare(part: StorePart, encode: Encode, onProgress: (texts: number) => void): Promise<void> {
    await this.#complete(part, encode, onProgress);
  }

  /** What is stored of a part, with a vector of each of its texts. */
  async #complete(
    { index, texts }: StorePart,
    encode: Encode,
    onProgress: (texts: number) => void,
  ): Promise<StoredVectors> {
    const { dimension } = this.#options;
    let stored = await this.#read(index);
    const known = new Set(stored.texts);
    const missing = [...new Set(texts.filter((text) => !known.has(text)))];
    for (let start = 0; start < missing.length; start += TEXTS_A_WRITE) {
      onProgress(texts.length - missing.length + start);
      const fresh = missing.slice(start, start + TEXTS_A_WRITE);
      const vectors = new Float32Array(stored.vectors.length + fresh.length * dimension);
      vectors.set(stored.vectors);
      vectors.set(await encode(fresh), stored.vectors.length);
      stored = { texts: [...stored.texts, ...fresh], vectors };
      await this.#write(index, stored);
    }
    onProgress(texts.length);
    return stored;
  }

  /** The vectors of a part's texts, [texts, dimension], in their order. @throws Error where `prepare` has not run. */
  async read(part: StorePart): Promise<Float32Array> {
    return this.#pick(part, await this.#read(part.index));
  }

  /** The vectors of a part's texts among what is stored of it. */
  #pick({ index, texts }: StorePart, stored: StoredVectors): Float32Array {
    const { dimension } = this.#options;
    const rowOf = new Map(stored.texts.map((text, row) => [text, row]));
    const vectors = new Float32Array(texts.length * dimension);
    texts.forEach((text, i) => {
      const row = rowOf.get(text);
      if (row === undefined) throw new Error(`no vector of '${text}' in ${this.#path(index)}`);
      vectors.set(stored.vectors.subarray(row * dimension, (row + 1) * dimension), i * dimension);
    });
    return vectors;
  }

  /**
   * Vectors of any texts without line breaks, [texts, dimension], in their order; missing ones are computed. `keys` decide by their hash
   * which file each text is in; default the texts.
   */
  async vectorsOf(
    texts: readonly string[],
    { parts, keys = texts, encode, onProgress }: LookUp,
  ): Promise<Float32Array> {
    const { dimension } = this.#options;
    const rowsOf = Array.from({ length: parts }, (): number[] => []);
    keys.forEach((key, row) => {
      rowsOf[hash32(key) % parts]!.push(row);
    });
    const vectors = new Float32Array(texts.length * dimension);
    let done = 0;
    for (const [index, rows] of rowsOf.entries()) {
      if (rows.length === 0) continue;
      const part = { index, texts: rows.map((row) => texts[row]!) };
      const found = this.#pick(part, await this.#complete(part, encode, (ready) => onProgress(done + ready)));
      rows.forEach((row, i) => {
        vectors.set(found.subarray(i * dimension, (i + 1) * dimension), row * dimension);
      });
      done += rows.length;
    }
    return vectors;
  }

  #path = (index: number): string => join(this.#options.folder, `${index}.safetensors`);

  async #read(index: number): Promise<StoredVectors> {
    if (!existsSync(this.#path(index))) return { texts: [], vectors: new Float32Array() };
    const { tensors } = await readTensors(this.#path(index));
    return {
      texts: new TextDecoder().decode(tensors.get('texts')!.data as Uint8Array).split('\n'),
      vectors: tensors.get('vectors')!.data as Float32Array,
    };
  }

  async #write(index: number, { texts, vectors }: StoredVectors): Promise<void> {
    const bytes = new TextEncoder().encode(texts.join('\n'));
    await writeTensors(this.#path(index), {
      tensors: new Map([
        ['vectors', { dtype: 'float32', shape: [texts.length, this.#options.dimension], data: vectors }],
        ['texts', { dtype: 'uint8', shape: [bytes.length], data: bytes }],
      ]),
      metadata: {},
    });
  }
}
