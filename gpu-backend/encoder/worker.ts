/**
 * A worker thread of the encoder: tokenises and runs one session, away from the event loop that answers HTTP. Between
 * two batches it looks itself at what has come (inbox.ts), withdrawals too, and waits for nobody while there is
 * something to do. It ends by itself on `close`: ending it from outside in the middle of a run would abort the whole
 * process.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { openSpelling } from '../../shared/spelling.ts';
import type { Device, DeviceName, Precision } from './encoder.ts';
import { Inbox, type Run } from './inbox.ts';
import { openSession } from './ort.ts';
import { createTokenizer } from './tokenize.ts';

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
export type ToWorker =
  | ({ kind: 'run' } & Run)
  /** Nobody wants this text of a run any more. */
  | { kind: 'withdraw'; id: number; index: number }
  | { kind: 'close' };
export type FromWorker =
  | { kind: 'ready'; device: Device }
  | { kind: 'failed'; message: string }
  /**
   * The oldest runs, computed together: vectors [texts, dimension]; tokens read of each text, 0 of one that was withdrawn or
   * too late, and so not computed.
   */
  | {
      kind: 'done';
      runs: number;
      vectors: Float32Array<ArrayBuffer>;
      tokens: Int32Array<ArrayBuffer>;
      /** Milliseconds that it took. */
      tookMs: number;
    }
  | { kind: 'error'; runs: number; message: string };

const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread of pool.ts only.');
const settings = workerData as WorkerSettings;

const say = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

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
  /** Vectors [size, dimension] and tokens of the texts, each at its index. */
  const encode = async (texts: readonly string[], { places, size }: { places: readonly number[]; size: number }) => {
    const { dimension } = settings;
    const vectors = new Float32Array(size * dimension);
    const tokens = new Int32Array(size);
    for (const batch of tokenizer.batches(texts, tokenBudget)) {
      const shape = { batch: batch.indices.length, tokens: batch.tokens };
      const rows = await session.run(batch.ids, batch.mask, shape);
      for (const [i, index] of batch.indices.entries()) {
        const place = places[index]!;
        vectors.set(rows.subarray(i * dimension, (i + 1) * dimension), place * dimension);
        tokens[place] = batch.lengths[i]!;
      }
    }
    return { vectors, tokens };
  };
  const warm = (texts: string[]) => encode(texts, { places: [...texts.keys()], size: texts.length });
  // The first runs allocate arenas and pack weights, the largest as much as it ever takes; nobody should wait for that.
  await warm(['warm']);
  const longest = 'warm '.repeat(maxTokens);
  await warm(new Array<string>(Math.max(1, Math.floor(tokenBudget / maxTokens))).fill(longest));

  const inbox = new Inbox();
  let [working, closing] = [false, false];
  const receive = (message: ToWorker) => {
    if (message.kind === 'run') inbox.add(message);
    else if (message.kind === 'withdraw') inbox.withdraw(message.id, message.index);
    else closing = true;
  };
  const next = () => {
    for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port))
      receive(more.message as ToWorker);
    return inbox.empty ? undefined : inbox.take(tokenBudget, performance.timeOrigin + performance.now());
  };
  const work = async () => {
    for (let taken = next(); taken !== undefined; taken = next()) {
      const { runs, texts } = taken;
      const began = performance.now();
      try {
        const { vectors, tokens } = await encode(texts, taken);
        const tookMs = performance.now() - began;
        say({ kind: 'done', runs, vectors, tokens, tookMs }, [vectors.buffer, tokens.buffer]);
      } catch (error) {
        say({ kind: 'error', runs, message: reason(error) });
      }
    }
    if (!closing) return;
    await session.release();
    port.close();
  };
  port.on('message', async (message: ToWorker) => {
    receive(message);
    if (working) return;
    working = true;
    await work();
    working = false;
  });
  say({ kind: 'ready', device: session.device });
} catch (error) {
  say({ kind: 'failed', message: reason(error) });
  port.close();
}
