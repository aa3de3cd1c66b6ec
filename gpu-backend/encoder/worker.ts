/**
 * A worker thread of the encoder: tokenises and runs one session, away from the event loop that answers HTTP.
 * It ends by itself on `close`: ending it from outside in the middle of a run would abort the whole process.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { openSpelling } from '../../shared/spelling.ts';
import type { Device, DeviceName, Precision } from './encoder.ts';
import { openSession, type Session } from './ort.ts';
import { createTokenizer, type TextTokenizer } from './tokenize.ts';

/** What the pool starts a worker with. */
export interface WorkerSettings {
  /** The student's file, and the fp16 one if there is any; shared, so that a worker that takes another's place starts from the same. */
  model: SharedArrayBuffer;
  half: SharedArrayBuffer | undefined;
  precision: Precision;
  /** What messages call the student. */
  name: string;
  /** tokenizer.json. */
  tokenizer: string;
  /** spelling.json, if there is one. */
  spelling: string | undefined;
  requested: DeviceName;
  threads: number;
  dimension: number;
  maxTokens: number;
  /** Padded tokens of one run, at most. */
  tokenBudget: number;
}

/** Runs are answered in the order in which they came. */
export type ToWorker = { kind: 'run'; texts: string[] } | { kind: 'close' };
export type FromWorker =
  | { kind: 'ready'; device: Device }
  | { kind: 'failed'; message: string }
  /** vectors [texts, dimension]; tokens read of each text. */
  | { kind: 'done'; vectors: Float32Array<ArrayBuffer>; tokens: Int32Array<ArrayBuffer> }
  | { kind: 'error'; message: string };

const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread of pool.ts only.');
const settings = workerData as WorkerSettings;

const say = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function encode(session: Session, tokenizer: TextTokenizer, texts: readonly string[]) {
  const { dimension, tokenBudget } = settings;
  const vectors = new Float32Array(texts.length * dimension);
  const tokens = new Int32Array(texts.length);
  for (const batch of tokenizer.batches(texts, tokenBudget)) {
    const shape = { batch: batch.indices.length, tokens: batch.tokens };
    const rows = await session.run(batch.ids, batch.mask, shape);
    for (const [i, index] of batch.indices.entries()) {
      vectors.set(rows.subarray(i * dimension, (i + 1) * dimension), index * dimension);
      tokens[index] = batch.lengths[i]!;
    }
  }
  return { vectors, tokens };
}

try {
  const { maxTokens, tokenBudget } = settings;
  const spelling = settings.spelling === undefined ? undefined : openSpelling(JSON.parse(settings.spelling));
  const tokenizer = createTokenizer(JSON.parse(settings.tokenizer), maxTokens, spelling);
  // The runtime takes no shared memory; what it was given is free once it has the session.
  const own = (shared: SharedArrayBuffer) => new Uint8Array(shared).slice();
  const session = await openSession({
    ...settings,
    model: own(settings.model),
    half: settings.requested === 'cpu' || settings.half === undefined ? undefined : own(settings.half),
  });
  // The first runs allocate arenas and pack weights, the largest as much as it ever takes; nobody should wait for that.
  await encode(session, tokenizer, ['warm']);
  const longest = 'warm '.repeat(maxTokens);
  await encode(session, tokenizer, new Array<string>(Math.max(1, Math.floor(tokenBudget / maxTokens))).fill(longest));

  let last = Promise.resolve();
  port.on('message', (message: ToWorker) => {
    last = last.then(async () => {
      if (message.kind === 'close') {
        await session.release();
        port.close();
        return;
      }
      try {
        const { vectors, tokens } = await encode(session, tokenizer, message.texts);
        say({ kind: 'done', vectors, tokens }, [vectors.buffer, tokens.buffer]);
      } catch (error) {
        say({ kind: 'error', message: reason(error) });
      }
    });
  });
  say({ kind: 'ready', device: session.device });
} catch (error) {
  say({ kind: 'failed', message: reason(error) });
  port.close();
}
