/**
 * The encoder's queue: first in, first out, greedy. A lane takes what is there at once, as long as it has less than some
 * budgets of tokens before it: nobody waits for a batch to fill, and a lane that is at work finds its next batch without
 * waiting for this thread. What nobody wants any more (deadline passed, caller gone) is not computed, here or before the
 * lane; a call whose turn would come too late is refused at once, and so is one that meets a full queue, whole, one text
 * or many alike. The scheme is that of Hugging Face's text-embeddings-inference.
 */
import { HarnessError } from '../../shared/problem.ts';
import { here, pastSpan } from '../tracing/span.ts';
import type { Encoded, EncodeOptions, EncoderStats } from './encoder.ts';
import { type Computed, type Handed, type Lane, LaneLost } from './lane.ts';

/**
 * Budgets that a lane is handed beyond the one it is computing: a single one would be done while this thread collects
 * garbage.
 */
const MOST_AHEAD = 2;

/** Longer a timer cannot wait; it would not wait at all. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export interface BatcherOptions {
  dimension: number;
  /** Texts that may wait; a call that finds this many waiting is refused. */
  maxQueued: number;
  /** Tokens handed to a lane at a time, by estimate. */
  tokenBudget: number;
  /** Budgets that a lane may be handed beyond the one it is at. */
  ahead?: number;
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
  /** Whether its caller went away with all of it handed over. */
  left: boolean;
  items: Item[];
  resolve(encoded: Encoded): void;
  reject(error: unknown): void;
}

interface Item {
  call: Call;
  index: number;
  text: string;
  cost: number;
  /** With what it was handed over, and its place there, while it is. */
  handed: Handed | undefined;
  place: number;
}

/** A lane, and what it has before it: tokens, by estimate. The batch it answered last. */
interface Working {
  lane: Lane;
  cost: number;
  batch: Computed['batch'] | undefined;
}

export class Batcher {
  readonly #options: BatcherOptions;
  readonly #lanes = new Set<Working>();
  #queue: Item[] = [];
  /** No deadline in the queue is earlier. */
  #soonestMs = Number.POSITIVE_INFINITY;
  /** For {@link #lookAtSoonest}. */
  #look: NodeJS.Timeout | undefined;
  #running = 0;
  #closing = false;
  #failure: Error | undefined;
  readonly #drained = Promise.withResolvers<void>();
  /** Smoothed milliseconds a text takes of one lane, for Retry-After and for what can still be done in time. */
  #msPerText = 5;
  readonly #counts = { encoded: 0, batches: 0, refused: 0, expired: 0, cancelled: 0 };

  constructor(options: BatcherOptions) {
    this.#options = options;
  }

  /** A lane that is free; it is used until it is lost, and then not again unless it is added anew. */
  addLane(lane: Lane): void {
    this.#lanes.add({ lane, cost: 0, batch: undefined });
    this.#dispatch();
  }

  stats(): Omit<EncoderStats, 'restarts' | 'fallbacks' | 'hits' | 'joined' | 'cachedTexts' | 'cachedBytes'> {
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
        left: false,
        items: [],
        resolve,
        reject,
      };
      signal?.addEventListener('abort', call.onAbort, { once: true });
      for (const [index, text] of texts.entries()) {
        const cost = this.#estimate(text);
        const item = { call, index, text, cost, handed: undefined, place: 0 };
        call.items.push(item);
        this.#queue.push(item);
      }
      this.#soonestMs = Math.min(this.#soonestMs, deadlineAtMs);
      this.#dispatch();
    });
  }

  /** What {@link fail} was told. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Resolves when everything accepted so far is answered; nothing new is accepted from now on. */
  close(): Promise<void> {
    this.#closing = true;
    this.#checkDrained();
    return this.#drained.promise;
  }

  /** Rejects everything that waits and everything to come: no lane will ever come back for it. */
  fail(error: Error): void {
    this.#failure = error;
    for (const { call } of this.#queue) this.#settle(call, () => call.reject(error));
    this.#drop();
    this.#checkDrained();
  }

  /** Tokens of a text, roughly: English has four characters per token; the worker counts exactly. */
  #estimate(text: string): number {
    return Math.min(this.#options.maxTokens, 2 + Math.ceil(text.length / 4));
  }

  #settle(call: Call, how: () => void): boolean {
    if (call.settled) return false;
    call.settled = true;
    call.signal?.removeEventListener('abort', call.onAbort);
    for (const { handed, place } of call.items) handed?.withdraw(place);
    how();
    return true;
  }

  #expire(call: Call): void {
    const error = new HarnessError(
      'deadline_exceeded',
      'The deadline passed while the text was waiting to be encoded.',
    );
    if (this.#settle(call, () => call.reject(error))) this.#counts.expired++;
  }

  #abandon(call: Call): void {
    if (!this.#settle(call, () => call.reject(call.signal?.reason))) return;
    call.left = !this.#queue.some((item) => item.call === call);
    if (call.left) return;
    this.#counts.cancelled++;
    this.#drop();
  }

  /** Refuses what is too late by now. */
  #sweep(): void {
    const now = this.#options.now();
    if (this.#soonestMs > now) return;
    this.#soonestMs = Number.POSITIVE_INFINITY;
    for (const { call } of this.#queue) {
      if (call.deadlineAtMs <= now) this.#expire(call);
      else if (!call.settled) this.#soonestMs = Math.min(this.#soonestMs, call.deadlineAtMs);
    }
    this.#drop();
  }

  /** Takes out of the queue what nobody waits for. */
  #drop(): void {
    this.#queue = this.#queue.filter(({ call }) => !call.settled);
  }

  /** The lane that has least before it, if it may be handed more. */
  #next(): Working | undefined {
    const { ahead = MOST_AHEAD, tokenBudget } = this.#options;
    let least: Working | undefined;
    for (const working of this.#lanes) if (working.cost < (least?.cost ?? Number.POSITIVE_INFINITY)) least = working;
    return least !== undefined && least.cost <= ahead * tokenBudget ? least : undefined;
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
      void this.#work(working, { items: this.#queue.splice(0, size), cost });
    }
    if (this.#lanes.size === 0) this.#lookAtSoonest();
    this.#checkDrained();
  }

  /** While there is no lane, none comes back and has deadlines looked at. */
  #lookAtSoonest(): void {
    clearTimeout(this.#look);
    if (this.#queue.length === 0 || this.#soonestMs === Number.POSITIVE_INFINITY) return;
    const ms = Math.min(Math.ceil(this.#soonestMs - this.#options.now()), MAX_TIMER_MS);
    this.#look = setTimeout(() => this.#dispatch(), ms);
    this.#look.unref();
  }

  async #work(working: Working, { items, cost }: { items: Item[]; cost: number }): Promise<void> {
    this.#running += items.length;
    working.cost += cost;
    const texts = items.map(({ text }) => text);
    const deadlinesAtMs = items.map(({ call }) => call.deadlineAtMs);
    const handed = working.lane(texts, { deadlinesAtMs, cost });
    for (const [place, item] of items.entries()) {
      item.handed = handed;
      item.place = place;
    }
    try {
      this.#take(working, items, await handed.computed);
    } catch (error) {
      for (const item of items) {
        item.handed = undefined;
        this.#settle(item.call, () => item.call.reject(error));
      }
      if (error instanceof LaneLost) this.#lanes.delete(working);
      // Texts of theirs that still wait are of no use to anybody.
      this.#drop();
    } finally {
      this.#running -= items.length;
      working.cost -= cost;
      this.#dispatch();
    }
  }

  #take(working: Working, items: readonly Item[], { vectors, tokens, batch }: Computed): void {
    const { dimension, now } = this.#options;
    const ended = now();
    if (batch !== working.batch) {
      working.batch = batch;
      if (batch.texts > 0) {
        this.#counts.batches++;
        this.#msPerText += 0.1 * (batch.tookMs / batch.texts - this.#msPerText);
      }
    }
    for (const [row, item] of items.entries()) {
      const { call, index } = item;
      item.handed = undefined;
      if (tokens[row] === 0) {
        this.#expire(call);
        if (call.left) this.#counts.cancelled++;
        call.left = false;
        continue;
      }
      this.#counts.encoded++;
      call.vectors[index] = vectors.subarray(row * dimension, (row + 1) * dimension);
      call.tokens[index] = tokens[row]!;
      call.missing--;
      if (index === 0) {
        const began = ended - batch.tookMs;
        pastSpan('encoder.queue', { at: call.trace, from: call.queuedAtMs, to: began });
        pastSpan('encoder.run', { at: call.trace, from: began, to: ended });
      }
      if (call.missing === 0) this.#settle(call, () => call.resolve({ vectors: call.vectors, tokens: call.tokens }));
    }
  }

  #checkDrained(): void {
    if (this.#closing && this.#running === 0 && this.#queue.length === 0) this.#drained.resolve();
  }
}
