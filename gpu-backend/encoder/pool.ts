/** The encoder over worker threads, each with a session of its own, fed by one queue. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { BundleFile } from '../../shared/bundle.ts';
import { HarnessError } from '../../shared/problem.ts';
import { Batcher } from './batcher.ts';
import { type Bundle, readVerified } from './bundle.ts';
import type { Device, DeviceName, Encoder } from './encoder.ts';
import { type Computed, type Lane, LaneLost } from './lane.ts';
import type { FromWorker, ToWorker, WorkerSettings } from './worker.ts';

export interface EncoderOptions {
  bundle: Pick<Bundle, 'manifest' | 'paths'>;
  device?: DeviceName;
  /** Worker threads; by default one core is left to the event loop, at most four are used, and a GPU gets one. */
  workers?: number;
  /** Intra-op threads of each session. */
  threads?: number;
  /** Texts that may wait before calls are refused. */
  maxQueued?: number;
  /**
   * Tokens handed to a worker at a time. On a CPU a text costs hardly less in a larger batch than in one of this size
   * (4 ms of the bundled student), and would wait for all of it; a GPU wants more.
   */
  tokenBudget?: number;
  /** Script of the workers; tests bring one that ends when told to. */
  workerUrl?: URL;
  /** Called when a worker ended unexpectedly and another takes its place. */
  onRestart?: (why: string) => void;
  /** Called when a worker starts on another device than the one asked for. */
  onFallback?: (device: Device) => void;
}

/** Replacements a pool makes before it gives up: a model that kills its worker each time would spin for ever. */
const MAX_RESTARTS = 20;
/** From a replacement that did not start to the next: what it lacked, such as memory, may be there by then. */
const AGAIN_MS = 500;

interface Started {
  device: Device;
  lane: Lane;
  /** Asks the worker to end, and resolves when it has. */
  close(): Promise<void>;
}

/** Starts one worker; `onLost` is called once if it ends without having been asked to. */
function startWorker(url: URL, settings: WorkerSettings, onLost: (why: string) => void): Promise<Started> {
  const worker = new Worker(url, { workerData: settings, execArgv: [] });
  const send = (message: ToWorker) => worker.postMessage(message);
  // In the order asked, as the worker answers. A Map that entries pass through has V8 keep what was in it until a full garbage collection.
  const pending: { texts: number; resolve(done: Computed): void; reject(error: unknown): void }[] = [];
  let runs = 0;
  let [closing, ended, ready] = [false, false, false];
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));

  return new Promise<Started>((resolve, reject) => {
    const lost = (why: string) => {
      ended = true;
      for (const { reject: rejectRun } of pending.splice(0)) rejectRun(new LaneLost(why));
      if (!ready) reject(new HarnessError('not_ready', `An encoder worker did not start: ${why}.`));
      else if (!closing) onLost(why);
    };
    let fault = '';
    worker.on('error', (error) => {
      fault = error instanceof Error ? error.message : String(error);
    });
    worker.once('exit', (code) => lost(fault === '' ? `exit code ${code}` : fault));
    worker.on('message', (message: FromWorker) => {
      switch (message.kind) {
        case 'ready':
          ready = true;
          resolve({
            device: message.device,
            lane: (texts, { deadlinesAtMs, cost }) => {
              const id = runs++;
              const { promise, resolve: resolveRun, reject: rejectRun } = Promise.withResolvers<Computed>();
              if (ended) rejectRun(new LaneLost('it had ended'));
              else {
                pending.push({ texts: texts.length, resolve: resolveRun, reject: rejectRun });
                send({ kind: 'run', id, texts, deadlinesAtMs, cost });
              }
              return { computed: promise, withdraw: (index) => send({ kind: 'withdraw', id, index }) };
            },
            async close() {
              closing = true;
              if (!ended) send({ kind: 'close' });
              await exited;
            },
          });
          break;
        case 'failed':
          reject(new HarnessError('bundle_damaged', message.message));
          break;
        case 'done': {
          const { vectors, tokens, tookMs } = message;
          const batch = { texts: tokens.reduce((sum, read) => sum + (read > 0 ? 1 : 0), 0), tookMs };
          const dimension = vectors.length / tokens.length;
          let from = 0;
          for (const { texts, resolve: resolveRun } of pending.splice(0, message.runs)) {
            const to = from + texts;
            resolveRun({
              vectors: vectors.subarray(from * dimension, to * dimension),
              tokens: tokens.subarray(from, to),
              batch,
            });
            from = to;
          }
          break;
        }
        case 'error': {
          const error = new HarnessError('internal', `The encoder failed: ${message.message}`);
          for (const { reject: rejectRun } of pending.splice(0, message.runs)) rejectRun(error);
          break;
        }
      }
    });
  });
}

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(bytes.byteLength);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

/**
 * Starts the workers and answers once all are warm. Throws `bundle_damaged` when the runtime refuses the model or the
 * tokenizer.
 */
export async function createEncoder(options: EncoderOptions): Promise<Encoder> {
  const { manifest, paths } = options.bundle;
  const requested = options.device ?? 'cpu';
  const spare = Math.min(4, Math.max(1, availableParallelism() - 1));
  const count = options.workers ?? (requested === 'cpu' ? spare : 1);
  const tokenBudget = options.tokenBudget ?? (requested === 'cpu' ? 192 : 8192);
  const text = (path: string, file: BundleFile) =>
    readVerified(path, file).then((bytes) => new TextDecoder().decode(bytes));
  const [model, half, tokenizer, spelling] = await Promise.all([
    readVerified(paths.student, manifest.student).then(shared),
    manifest.studentFp16 && readVerified(paths.studentFp16!, manifest.studentFp16).then(shared),
    text(paths.tokenizer, manifest.tokenizer),
    manifest.spelling && text(paths.spelling!, manifest.spelling),
  ]);
  const settings: WorkerSettings = {
    model,
    half,
    tokenizer,
    spelling,
    name: paths.student,
    precision: manifest.student.precision,
    requested,
    threads: options.threads ?? 1,
    dimension: manifest.dimension,
    maxTokens: manifest.maxTokens,
    tokenBudget,
  };
  const batcher = new Batcher({
    dimension: manifest.dimension,
    maxQueued: options.maxQueued ?? 1024,
    tokenBudget,
    maxTokens: manifest.maxTokens,
    now: () => performance.timeOrigin + performance.now(),
  });

  const workers = new Set<Started>();
  let [restarts, fallbacks, closing] = [0, 0, false];
  const isFallback = ({ provider }: Device) => provider !== requested;
  let device: Device | undefined;
  /** To be called whenever a worker comes or goes; while none is left, the device stays that of the last one. */
  const noteDevice = () => {
    const devices = [...workers].map((worker) => worker.device);
    device = devices.find(isFallback) ?? devices[0] ?? device;
  };
  const start = async (): Promise<Started> => {
    let lostEarly: string | undefined;
    let self: Started | undefined;
    const onLost = (why: string) => {
      if (self === undefined) lostEarly = why;
      else replace(self, why);
    };
    self = await startWorker(options.workerUrl ?? new URL('./worker.ts', import.meta.url), settings, onLost);
    if (closing) {
      // It took the place of one that ended just before.
      await self.close();
      return self;
    }
    workers.add(self);
    noteDevice();
    if (isFallback(self.device)) {
      fallbacks++;
      options.onFallback?.(self.device);
    }
    if (lostEarly === undefined) batcher.addLane(self.lane);
    else replace(self, lostEarly);
    return self;
  };
  const replace = (dead: Started, why: string) => {
    workers.delete(dead);
    noteDevice();
    startAnother(why);
  };
  const startAnother = (why: string) => {
    if (closing) return;
    restarts++;
    options.onRestart?.(why);
    if (restarts <= MAX_RESTARTS) start().catch((error: Error) => setTimeout(startAnother, AGAIN_MS, error.message));
    else if (workers.size === 0) batcher.fail(new LaneLost(`${why} (and ${MAX_RESTARTS} replacements were used up)`));
  };

  const started = await Promise.allSettled(Array.from({ length: count }, start));
  const failed = started.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    closing = true;
    await Promise.all([...workers].map((worker) => worker.close()));
    throw failed.reason;
  }

  return {
    model: manifest.name,
    spaceId: manifest.spaceId,
    studentSha256: manifest.student.sha256,
    dimension: manifest.dimension,
    cutDimensions: manifest.cutDimensions ?? [],
    get device() {
      return device!; // one has started
    },
    get failure() {
      return batcher.failure?.message;
    },
    encode: (texts, encodeOptions) => batcher.encode(texts, encodeOptions),
    stats: () => ({ ...batcher.stats(), restarts, fallbacks, hits: 0, joined: 0, cachedTexts: 0, cachedBytes: 0 }),
    async close() {
      await batcher.close();
      closing = true;
      await Promise.all([...workers].map((worker) => worker.close()));
    },
  };
}
