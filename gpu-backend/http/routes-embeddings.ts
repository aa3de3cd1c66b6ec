/** `POST /v1/embeddings`, as OpenAI's clients ask it. A batch of any size lets other requests in between its texts. */
import { setImmediate as letOthers } from 'node:timers/promises';
import { EmbeddingsRequest } from '../../shared/contract/embeddings.ts';
import { HarnessError } from '../../shared/problem.ts';
import { normalize } from '../../shared/text.ts';
import type { Encoder } from '../encoder/encoder.ts';
import { type Endpoint, endpoint, JsonText } from './endpoint.ts';

export interface EmbeddingsRoutesOptions {
  encoder: Pick<Encoder, 'encode' | 'model' | 'dimension' | 'cutDimensions'>;
}

/** How long the event loop is held at a time. */
const HOLD_MS = 2;
/**
 * What comes after this many UTF-16 units never reaches the model, which would cut it; normalising it would hold the
 * event loop.
 */
const MAX_UNITS = 8_192;

/** Maps one item or more, with pauses for other requests. */
async function mapInTurns<T, U>(items: readonly T[], map: (item: T, index: number) => U): Promise<U[]> {
  const out: U[] = [map(items[0]!, 0)];
  if (items.length === 1) return out;
  let since = performance.now();
  for (let index = 1; index < items.length; index++) {
    if (performance.now() - since >= HOLD_MS) {
      await letOthers();
      since = performance.now();
    }
    out.push(map(items[index]!, index));
  }
  return out;
}

/** The first `length` components, at unit length again. */
function cut(vector: Float32Array, length: number): Float32Array {
  if (length === vector.length) return vector;
  const norm = Math.hypot(...vector.subarray(0, length));
  return vector.subarray(0, length).map((value) => (norm === 0 ? 0 : value / norm));
}

const base64 = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('base64');

/** The length asked for; throws `bad_request` for one that the model's vectors may not be cut to. */
function lengthOf(
  asked: number | undefined,
  { model, dimension, cutDimensions }: EmbeddingsRoutesOptions['encoder'],
): number {
  if (asked === undefined || asked === dimension || cutDimensions.includes(asked)) return asked ?? dimension;
  const expected = [dimension, ...cutDimensions].join(' or ');
  const why = cutDimensions.length === 0 ? `; vectors of ${model} find nothing once cut, so leave it out` : '';
  throw new HarnessError('bad_request', `dimensions: expected ${expected}, got ${asked}${why}.`);
}

export function embeddingsRoutes({ encoder }: EmbeddingsRoutesOptions): Endpoint[] {
  return [
    endpoint({
      on: 'post /v1/embeddings',
      body: EmbeddingsRequest,
      async handle({ body, signal }) {
        const { input, dimensions, encoding_format: format } = body;
        const inputs = typeof input === 'string' ? [input] : input;
        const texts = await mapInTurns(inputs, (text) => normalize(text.slice(0, MAX_UNITS)));
        // Not before the turns of others: the model that is asked at the end of them may be another one.
        const length = lengthOf(dimensions, encoder);
        const { model } = encoder;
        const { vectors, tokens } = await encoder.encode(texts, { signal });
        const rows = await mapInTurns(vectors, (vector, index) => {
          const values = cut(vector, length);
          // Base64 has nothing that JSON would escape.
          const embedding = format === 'base64' ? `"${base64(values)}"` : JSON.stringify(Array.from(values));
          return `{"object":"embedding","index":${index},"embedding":${embedding}}`;
        });
        const read = tokens.reduce((sum, count) => sum + count, 0);
        const usage = JSON.stringify({ prompt_tokens: read, total_tokens: read });
        return new JsonText(
          `{"object":"list","model":${JSON.stringify(model)},"data":[${rows.join(',')}],"usage":${usage}}`,
        );
      },
    }),
  ];
}
