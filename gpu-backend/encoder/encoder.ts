/**
 * The encoder's contract: query texts in, unit vectors of one embedding space out. Adapter: pool.ts (worker threads); around
 * it go cached.ts and swappable.ts.
 */

export type DeviceName = 'cpu' | 'cuda' | 'webgpu';

export type Precision = 'int8' | 'fp16' | 'fp32';

/** On what the encoder runs, and why. */
export interface Device {
  requested: DeviceName;
  provider: DeviceName;
  /** Of the student that runs there. */
  precision: Precision;
  /** Why the provider is not the one requested. */
  reason?: string;
}

/** Counters since the start and gauges of this moment, for `/metrics`. */
export interface EncoderStats {
  /** Texts encoded. */
  encoded: number;
  /** Texts answered without it: from the cache, or because another call had them encoded at that moment. */
  hits: number;
  joined: number;
  /** Batches run. */
  batches: number;
  /** Calls refused because the queue was full. */
  refused: number;
  /** Calls whose deadline passed before their texts were computed, or would have. */
  expired: number;
  /** Calls whose caller went away before that. */
  cancelled: number;
  /** Workers that ended unexpectedly and were replaced. */
  restarts: number;
  /** Workers, replacements included, that started on another device than the one asked for. */
  fallbacks: number;
  /** Texts waiting, and texts being computed. */
  queued: number;
  running: number;
  /** What the cache holds. */
  cachedTexts: number;
  cachedBytes: number;
}

export interface EncodeOptions {
  /** On the clock of `performance.timeOrigin + performance.now()`, that is, epoch milliseconds. */
  deadlineAtMs?: number;
  signal?: AbortSignal;
}

export interface Encoded {
  /** One [dimension] float32 a text, L2-normalised, in the order given. */
  vectors: Float32Array[];
  /** Tokens read of each text, special tokens included. */
  tokens: number[];
}

export interface Encoder {
  /** The bundle's name, as answers and logs carry it. */
  readonly model: string;
  readonly spaceId: string;
  /** SHA-256 of the bundle's student.onnx: a caller that brings its own vector says by which student. */
  readonly studentSha256: string;
  readonly dimension: number;
  /** Lengths to which its vectors may be cut and still search; none unless it was trained for them. */
  readonly cutDimensions: readonly number[];
  /** Where its workers run now; where they differ, one that is not on the device asked for. */
  readonly device: Device;
  /** Why it computes nothing any more, whoever asks; `undefined` as long as it does. */
  readonly failure: string | undefined;
  /**
   * Vectors of normalized queries. Long texts are cut to the bundle's `maxTokens`; no text makes it fail. Throws
   * `too_many_requests` when the queue is full, `deadline_exceeded` when the deadline passes before all of it is begun, or
   * would, by what is waiting; the signal's reason when the caller goes away, and `not_ready` once closed.
   */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<Encoded>;
  stats(): EncoderStats;
  /** Takes no new work, finishes what is queued, then ends the workers. */
  close(): Promise<void>;
}
