/** The encoder's contract: query texts in, unit vectors of one embedding space out. Adapter: pool.ts (worker threads). */

/** On what the encoder runs, and why. */
export interface Device {
  requested: 'cpu' | 'cuda' | 'webgpu';
  provider: 'cpu' | 'cuda' | 'webgpu';
  /** Why the provider is not the one requested. */
  reason?: string;
}

export interface Encoder {
  /** The bundle's name, as answers and logs carry it. */
  readonly model: string;
  readonly spaceId: string;
  readonly dimension: number;
  readonly device: Device;
  /**
   * Vectors of normalized queries, one [dimension] float32 a text, L2-normalised, in the order given. Throws
   * `too_many_requests` when the queue is full and `deadline_exceeded` when the deadline passes before the work starts.
   */
  encode(texts: readonly string[], options?: { deadlineAtMs?: number; signal?: AbortSignal }): Promise<Encoded>;
  /** Finishes what is queued, then stops the workers. */
  close(): Promise<void>;
}

export interface Encoded {
  vectors: Float32Array[];
  /** Tokens read, special tokens included. */
  tokens: number;
}
