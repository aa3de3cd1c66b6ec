/**
 * Any OpenAI-compatible `/v1/embeddings` endpoint as a teacher: a hosted interface, vLLM, text-embeddings-inference, or Harness's own
 * backend. Each text is paid for once: its vector is on disk as soon as its batch is answered, whatever happens to the process.
 */
import { join } from 'node:path';
import pMap from 'p-map';
import { canonicalJson, sha256Hex } from '../../shared/digest.ts';
import { HarnessError } from '../../shared/problem.ts';
import { EndpointCache } from './endpoint-cache.ts';
import { embeddingRequests, embeddingsUrl, type RequestSettings, shownUrl } from './endpoint-request.ts';
import { normalizeRows, type Teacher } from './teacher.ts';

export interface EndpointSettings extends RequestSettings {
  /** Put before each query, as the model's card says, and before each document. */
  readonly queryPrefix: string;
  readonly documentPrefix: string;
  /** Bounds on one request: texts, and their UTF-8 bytes. A longer text travels alone. */
  readonly textsPerRequest: number;
  readonly bytesPerRequest: number;
  /** Requests under way at a time. */
  readonly concurrency: number;
  /** The model's licence, for the manifest. */
  readonly license: string;
}

/** What is left to set is the address and the model. */
export const ENDPOINT_DEFAULTS: Omit<EndpointSettings, 'url' | 'model'> = {
  queryPrefix: '',
  documentPrefix: '',
  encodingFormat: 'float',
  textsPerRequest: 128,
  bytesPerRequest: 128 * 1024,
  concurrency: 4,
  retries: 8,
  backoffMs: 500,
  longestBackoffMs: 60_000,
  attemptTimeoutMs: 60_000,
  deadlineMs: 600_000,
  license: 'unknown',
};

export interface EndpointOptions {
  /** The folder of stored vectors, shared by all endpoints. */
  readonly cache: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Any text will do to learn how long the vectors are. */
const PROBE = 'shoes';

/** @throws HarnessError in one line: wrong settings, or an endpoint that does not answer. */
export async function endpointTeacher(
  settings: EndpointSettings,
  { cache: folder, env = process.env }: EndpointOptions,
): Promise<Teacher> {
  const { model, dimensions, queryPrefix, documentPrefix, concurrency, license } = settings;
  const request = embeddingRequests(settings, env);
  const url = embeddingsUrl(settings);
  // Prefixes are part of the text that is stored: changing one does not make the other side's vectors worthless.
  const space = await sha256Hex(canonicalJson({ url: url.href, model, dimensions }));
  const cache = new EndpointCache(join(folder, `${space.slice(0, 16)}.sqlite`));

  const ask = async (texts: readonly string[], expected: number | undefined): Promise<Float32Array[]> => {
    const vectors = await request(texts);
    const wrong = vectors.find(({ length }) => length !== (expected ?? vectors[0]!.length));
    if (wrong)
      throw new HarnessError(
        'configuration',
        `${shownUrl(url)}: expected vectors of ${expected ?? vectors[0]!.length} numbers from ${model}, received ${wrong.length}; if the model was replaced, delete ${cache.path}.`,
      );
    cache.put(texts, vectors);
    return vectors;
  };
  let dimension: number;
  try {
    dimension = dimensions ?? cache.dimension() ?? (await ask([PROBE], undefined))[0]!.length;
  } catch (error) {
    cache.close();
    throw error;
  }

  let underWay = Promise.resolve();
  return {
    name: model,
    sha256: await sha256Hex(canonicalJson({ url: url.href, model, dimensions, queryPrefix, documentPrefix })),
    dimension,
    license,
    source: shownUrl(url),
    async encode(texts, { role, onProgress = () => {} }) {
      const prefix = role === 'query' ? queryPrefix : documentPrefix;
      const vectors = new Float32Array(texts.length * dimension);
      const missing = new Map<string, number[]>();
      let done = 0;
      texts.forEach((text, row) => {
        const input = prefix + text;
        const rows = missing.get(input);
        const stored = rows ? undefined : cache.get(input);
        if (rows) rows.push(row);
        else if (stored) vectors.set(stored, row * dimension);
        else missing.set(input, [row]);
        if (stored) done++;
      });
      onProgress(done);
      const failures: unknown[] = [];
      const asked = pMap(
        batches([...missing.keys()], settings),
        async (batch) => {
          if (failures.length > 0) return;
          try {
            const answers = await ask(batch, dimension);
            batch.forEach((input, i) => {
              const rows = missing.get(input)!;
              for (const row of rows) vectors.set(answers[i]!, row * dimension);
              done += rows.length;
            });
            onProgress(done);
          } catch (error) {
            // What else is under way was paid for: it is waited for, and stored.
            failures.push(error);
          }
        },
        { concurrency },
      );
      underWay = Promise.all([underWay, asked]).then(() => {});
      await asked;
      if (failures.length > 0) throw failures[0];
      return normalizeRows(vectors, dimension);
    },
    async close() {
      await underWay;
      cache.close();
    },
  };
}

/** Texts in their order, each batch within both bounds. */
export function* batches(
  texts: readonly string[],
  { textsPerRequest, bytesPerRequest }: Pick<EndpointSettings, 'textsPerRequest' | 'bytesPerRequest'>,
): Generator<string[]> {
  let batch: string[] = [];
  let bytes = 0;
  for (const text of texts) {
    const size = Buffer.byteLength(text);
    if (batch.length > 0 && (batch.length === textsPerRequest || bytes + size > bytesPerRequest)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(text);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
