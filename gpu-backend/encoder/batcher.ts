/**
 * The encoder's queue: first in, first out, greedy. A free lane takes what is there up to a token budget, at once; nobody
 * waits for a batch to fill. A busy lane is handed a few batches ahead, if they are full ones, which gain nothing by waiting: it
 * goes on without a pause while this thread sends the answers. What nobody wants any more (deadline passed, caller gone) is
 * dropped before it is handed over, a call whose turn would come too late is refused at once, and so is one that meets a
 * full queue, whole, one text or many alike.
 * The scheme is that of Hugging Face's text-embeddings-inference.
 */
import { HarnessError } from '../../shared/problem.ts';
import { here, pastSpan } from '../tracing/span.ts';
import type { Encoded, EncodeOptions, EncoderStats } from './encoder.ts';

/** Full batches that a busy lane is handed ahead: one would be done while this thread collects garbage. */
const MOST_AHEAD = 2;

/** Computes one batch; lanes work beside each other, each on one batch after the other. */
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

/** A lane at work: batches handed to it, and when it answered last. */
interface Working {
  lane: Lane;
  underway: number;
  freeAtMs: number;
}

export class Batcher {
  readonly #options: BatcherOptions;
  readonly #lanes = new Set<Working>();
  #queue: Item[] = [];
  /** Tokens that wait, by estimate. */
  #queuedCost = 0;
  /** No deadline in the queue is earlier. */
  #soonestMs = Number.POSITIVE_INFINITY;
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

  /** A lane that is free; it is used until it is lost, and then not again unless it is added anew. */
  addLane(lane: Lane): void {
    this.#lanes.add({ lane, underway: 0, freeAtMs: 0 });
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
    const waitMs = (this.#queue.length * this.#msPerText) / Math.max(1, this.#lanes.size);
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
      for (const [index, text] of texts.entries()) {
        const cost = this.#estimate(text);
        this.#queue.push({ call, index, text, cost });
        this.#queuedCost += cost;
      }
      this.#soonestMs = Math.min(this.#soonestMs, deadlineAtMs);
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
    this.#drop();
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
    if (!this.#settle(call, () => call.reject(call.signal?.reason))) return;
    if (!call.started) this.#counts.cancelled++;
    this.#drop();
  }

  /** Refuses what is too late by now. */
  #sweep(): void {
    const now = this.#options.now();
    if (this.#soonestMs > now) return;
    this.#soonestMs = Number.POSITIVE_INFINITY;
    for (const { call } of this.#queue) {
      if (call.started || call.settled) continue;
      if (call.deadlineAtMs > now) {
        this.#soonestMs = Math.min(this.#soonestMs, call.deadlineAtMs);
        continue;
      }
      const error = new HarnessError(
        'deadline_exceeded',
        'The deadline passed while the text was waiting to be encoded.',
      );
      if (this.#settle(call, () => call.reject(error))) this.#counts.expired++;
    }
    this.#drop();
  }

  /** Takes out of the queue what nobody waits for. */
  #drop(): void {
    this.#queue = this.#queue.filter(({ call }) => !call.settled);
    this.#queuedCost = this.#queue.reduce((sum, { cost }) => sum + cost, 0);
  }

  /** The lane for the next batch: a free one or, if the batch is full, the least busy of those that may be handed one ahead. */
  #next(): Working | undefined {
    let least: Working | undefined;
    for (const working of this.#lanes) if (working.underway < (least?.underway ?? 1 + MOST_AHEAD)) least = working;
    return least?.underway === 0 || this.#queuedCost >= this.#options.tokenBudget ? least : undefined;
  }

  #dispatch(): void {
    this.#sweep();
    while (this.#queue.length > 0) {
      const working = this.#next();
      if (working === undefined) break;
      let [size, cost] = [0, 0];
      for (const item of this.#queue) {
        if (size > 0 && cost + item.cost > this.#options.tokenBudget) break;
        cost += item.cost;
        size++;
      }
      this.#queuedCost -= cost;
      void this.#work(working, this.#queue.splice(0, size));
    }
    this.#checkDrained();
  }

  async #work(working: Working, items: Item[]): Promise<void> {
    this.#running += items.length;
    working.underway++;
    const handedAtMs = this.#options.now();
    const calls = new Set(items.map(({ call }) => call));
    for (const call of calls) call.started = true;
    try {
      const { vectors, tokens } = await working.lane(items.map(({ text }) => text));
      const { dimension } = this.#options;
      const ended = this.#options.now();
      // What was handed ahead waited for the batch before it.
      const began = Math.max(handedAtMs, working.freeAtMs);
      working.freeAtMs = ended;
      for (const { trace, queuedAtMs } of calls) {
        pastSpan('encoder.queue', { at: trace, from: queuedAtMs, to: began });
        pastSpan('encoder.run', { at: trace, from: began, to: ended });
      }
      this.#counts.batches++;
      this.#counts.encoded += items.length;
      this.#msPerText += 0.1 * ((ended - began) / items.length - this.#msPerText);
      for (const [row, { call, index }] of items.entries()) {
        call.vectors[index] = vectors.subarray(row * dimension, (row + 1) * dimension);
        call.tokens[index] = tokens[row]!;
        call.missing--;
        if (call.missing === 0) this.#settle(call, () => call.resolve({ vectors: call.vectors, tokens: call.tokens }));
      }
    } catch (error) {
      for (const { call } of items) this.#settle(call, () => call.reject(error));
      if (error instanceof LaneLost) this.#lanes.delete(working);
      // Texts of theirs that still wait are of no use to anybody.
      this.#drop();
    } finally {
      this.#running -= items.length;
      working.underway--;
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
