/**
 * The encoder's queue: first in, first out, greedy. A free lane takes what is there up to a token budget, at once; nobody
 * waits for a batch to fill. What nobody wants any more (deadline passed, caller gone) is dropped before it costs
 * anything, a call whose turn would come too late is refused at once, and so is one that meets a full queue, whole, one
 * text or many alike.
 * The scheme is that of Hugging Face's text-embeddings-inference.
 */
import { HarnessError } from '../../shared/problem.ts';
import { here, pastSpan } from '../tracing/span.ts';
import type { Encoded, EncodeOptions, EncoderStats } from './encoder.ts';

/** Computes one batch; lanes work beside each other, each on one batch at a time. */
export type Lane = (texts: string[]) => Promise<{ vectors: Float32Array; tokens: Int32Array }>;

export interface BatcherOptions {
  dimension: number;
  /** Texts that may wait; a call that finds this many waiting is refused. */
  maxQueued: number;
  /** Tokens handed to a lane at a time, by estimate. */
  tokenBudget: number;
  /** Longest text, in tokens. */
  maxTokens: number;
  /** Epoch milliseconds. */
  now: () => number;
}

interface Call {
  vectors: Float32Array[];
  tokens: number[];
  /** Texts without a vector yet. */
  missing: number;
  deadlineAtMs: number;
  signal: AbortSignal | undefined;
  /** When it came, epoch milliseconds, and for which trace. */
  queuedAtMs: number;
  trace: ReturnType<typeof here>;
  onAbort: () => void;
  settled: boolean;
  /** Whether any of its texts reached a lane: from then on its deadline is the caller's business. */
  started: boolean;
  resolve(encoded: Encoded): void;
  reject(error: unknown): void;
}

interface Item {
  call: Call;
  index: number;
  text: string;
  cost: number;
}

export class Batcher {
  readonly #options: BatcherOptions;
  readonly #idle: Lane[] = [];
  #busy = 0;
  #queue: Item[] = [];
  #running = 0;
  #closing = false;
  #failure: unknown;
  readonly #drained = Promise.withResolvers<void>();
  /** Smoothed milliseconds a text takes of one lane, for Retry-After and for what can still be done in time. */
  #msPerText = 5;
  readonly #counts = { encoded: 0, batches: 0, refused: 0, expired: 0, cancelled: 0 };

  constructor(options: BatcherOptions) {
    this.#options = options;
  }

  /** A lane that is free; it is used until it fails, and then not again unless it is added anew. */
  addLane(lane: Lane): void {
    this.#idle.push(lane);
    this.#dispatch();
  }

  stats(): Omit<EncoderStats, 'restarts' | 'hits' | 'joined' | 'cachedTexts' | 'cachedBytes'> {
    return { ...this.#counts, queued: this.#queue.length, running: this.#running };
  }

  encode(
    texts: readonly string[],
    { deadlineAtMs = Number.POSITIVE_INFINITY, signal }: EncodeOptions = {},
  ): Promise<Encoded> {
    if (this.#closing)
      return Promise.reject(new HarnessError('not_ready', 'The encoder is closing; it takes no new work.'));
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (signal?.aborted) {
      this.#counts.cancelled++;
      return Promise.reject(signal.reason);
    }
    if (texts.length === 0) return Promise.resolve({ vectors: [], tokens: [] });
    this.#sweep();
    if (this.#queue.length >= this.#options.maxQueued) {
      this.#counts.refused++;
      const retryAfterSeconds = Math.max(1, Math.ceil((this.#queue.length * this.#msPerText) / 1000));
      return Promise.reject(
        new HarnessError(
          'too_many_requests',
          `The encoder has ${this.#queue.length} texts waiting, at most ${this.#options.maxQueued} may; retry in ${retryAfterSeconds} s.`,
          { retryAfterSeconds },
        ),
      );
    }
    const waitMs = (this.#queue.length * this.#msPerText) / Math.max(1, this.#idle.length + this.#busy);
    if (this.#queue.length > 0 && this.#options.now() + waitMs >= deadlineAtMs) {
      this.#counts.expired++;
      const left = Math.round(deadlineAtMs - this.#options.now());
      const message = `The encoder has ${this.#queue.length} texts waiting, about ${Math.round(waitMs)} ms of work; ${left} ms are left.`;
      return Promise.reject(new HarnessError('deadline_exceeded', message));
    }
    return new Promise<Encoded>((resolve, reject) => {
      const call: Call = {
        vectors: new Array<Float32Array>(texts.length),
        tokens: new Array<number>(texts.length),
        missing: texts.length,
        deadlineAtMs,
        signal,
        queuedAtMs: this.#options.now(),
        trace: here(),
        onAbort: () => this.#abandon(call),
        settled: false,
        started: false,
        resolve,
        reject,
      };
      signal?.addEventListener('abort', call.onAbort, { once: true });
      for (const [index, text] of texts.entries()) this.#queue.push({ call, index, text, cost: this.#estimate(text) });
      this.#dispatch();
    });
  }

  /** Resolves when everything accepted so far is answered; nothing new is accepted from now on. */
  close(): Promise<void> {
    this.#closing = true;
    this.#checkDrained();
    return this.#drained.promise;
  }

  /** Rejects everything that waits and everything to come: no lane will ever come back for it. */
  fail(error: unknown): void {
    this.#failure = error;
    for (const { call } of this.#queue) this.#settle(call, () => call.reject(error));
    this.#queue = [];
    this.#checkDrained();
  }

  /** Tokens of a text, roughly: English has four characters a token; the worker counts exactly. */
  #estimate(text: string): number {
    return Math.min(this.#options.maxTokens, 2 + Math.ceil(text.length / 4));
  }

  #settle(call: Call, how: () => void): boolean {
    if (call.settled) return false;
    call.settled = true;
    call.signal?.removeEventListener('abort', call.onAbort);
    how();
    return true;
  }

  #abandon(call: Call): void {
    if (this.#settle(call, () => call.reject(call.signal?.reason)) && !call.started) this.#counts.cancelled++;
  }

  /** Drops what nobody waits for. */
  #sweep(): void {
    const now = this.#options.now();
    for (const { call } of this.#queue) {
      if (call.deadlineAtMs > now || call.started) continue;
      const error = new HarnessError(
        'deadline_exceeded',
        'The deadline passed while the text was waiting to be encoded.',
      );
      if (this.#settle(call, () => call.reject(error))) this.#counts.expired++;
    }
    if (this.#queue.some(({ call }) => call.settled)) this.#queue = this.#queue.filter(({ call }) => !call.settled);
  }

  #dispatch(): void {
    while (this.#idle.length > 0) {
      this.#sweep();
      if (this.#queue.length === 0) break;
      let [size, cost] = [0, 0];
      for (const item of this.#queue) {
        cost += item.cost;
        if (size > 0 && cost > this.#options.tokenBudget) break;
        size++;
      }
      void this.#work(this.#idle.shift()!, this.#queue.splice(0, size));
    }
    this.#checkDrained();
  }

  async #work(lane: Lane, items: Item[]): Promise<void> {
    this.#running += items.length;
    this.#busy++;
    const began = this.#options.now();
    const calls = new Set(items.map(({ call }) => call));
    for (const call of calls) {
      call.started = true;
      pastSpan('encoder.queue', { at: call.trace, from: call.queuedAtMs, to: began });
    }
    try {
      const { vectors, tokens } = await lane(items.map(({ text }) => text));
      const { dimension } = this.#options;
      const ended = this.#options.now();
      for (const call of calls) pastSpan('encoder.run', { at: call.trace, from: began, to: ended });
      this.#counts.batches++;
      this.#counts.encoded += items.length;
      this.#msPerText += 0.1 * ((this.#options.now() - began) / items.length - this.#msPerText);
      for (const [row, { call, index }] of items.entries()) {
        call.vectors[index] = vectors.subarray(row * dimension, (row + 1) * dimension);
        call.tokens[index] = tokens[row]!;
        call.missing--;
        if (call.missing === 0) this.#settle(call, () => call.resolve({ vectors: call.vectors, tokens: call.tokens }));
      }
      this.#idle.push(lane);
    } catch (error) {
      for (const { call } of items) this.#settle(call, () => call.reject(error));
      if (!(error instanceof LaneLost)) this.#idle.push(lane);
    } finally {
      this.#running -= items.length;
      this.#busy--;
      this.#dispatch();
    }
  }

  #checkDrained(): void {
    if (this.#closing && this.#running === 0 && this.#queue.length === 0) this.#drained.resolve();
  }
}

/** A lane that throws this is not used again; its batch fails with it. */
export class LaneLost extends HarnessError {
  constructor(why: string) {
    super('internal', `The encoder lost a worker: ${why}.`);
  }
}
