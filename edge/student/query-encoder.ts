/**
 * The Worker encodes queries itself, where a student is bound: the backend is sent the vector with the query, and only
 * searches. Nobody waits for the student: until it is there, and whenever it is not, the backend is sent the query alone.
 */
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { HarnessError } from '../../shared/problem.ts';
import { packFloats, type QueryVector } from '../../shared/query-vector.ts';
import type { LoadedStudent } from './load.ts';

/**
 * From one attempt to the next, and after the backend has refused the student: it serves another bundle, until one of
 * the two is deployed again.
 */
const RETRY_MS = 300_000;

export interface QueryEncoderOptions {
  load: () => Promise<LoadedStudent>;
  /** Milliseconds of a clock that does not go back. */
  now: () => number;
  onError: (message: string, error: unknown) => void;
}

export class QueryEncoder {
  readonly counts = { encoded: 0, failed: 0, refused: 0 };
  readonly #options: QueryEncoderOptions;
  #student: LoadedStudent | undefined;
  #retryAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: QueryEncoderOptions) {
    this.#options = options;
  }

  /** Name of the bundle that queries are encoded with; `null` while there is none. */
  get model(): string | null {
    return this.#student?.manifest.name ?? null;
  }

  /** Starts to load the student if it is not there and nobody did so lately. */
  keepUp(waitUntil: (work: Promise<unknown>) => void): void {
    const { load, now } = this.#options;
    if (this.#student !== undefined || now() < this.#retryAtMs) return;
    // A load that dies with the request that began it would never end.
    this.#retryAtMs = now() + RETRY_MS;
    const loading = load().then(
      (student) => {
        this.#student = student;
      },
      (error) => this.#giveUp('the student cannot be loaded', error),
    );
    waitUntil(loading);
  }

  /** Makes `ask` with the query's vector where the plan uses one; without it when the backend has another student. */
  async asking<T>(ask: (request: Asked) => Promise<T>, request: Asked): Promise<T> {
    const { retrievers, model } = request.plan;
    // A plan that names a model is for that student to answer, and it is not here.
    const vector = retrievers.includes('dense') && model === undefined ? this.#encode(request.query) : undefined;
    if (vector === undefined) return ask(request);
    try {
      return await ask({ ...request, vector });
    } catch (error) {
      if (!(error instanceof HarnessError && error.code === 'model_mismatch')) throw error;
      this.counts.refused += 1;
      // Many requests may be on their way with the same vector's student; it is dropped, and said, once.
      if (this.#student?.manifest.student.sha256 === vector.studentSha256)
        this.#giveUp('the backend has another student', error);
      return ask(request);
    }
  }

  #encode(query: string): QueryVector | undefined {
    if (this.#student === undefined) return undefined;
    const { manifest, encode } = this.#student;
    try {
      const values = packFloats(encode(query));
      this.counts.encoded += 1;
      return { studentSha256: manifest.student.sha256, values };
    } catch (error) {
      this.#giveUp('the student failed', error);
      return undefined;
    }
  }

  #giveUp(message: string, error: unknown): void {
    this.counts.failed += 1;
    this.#student = undefined;
    this.#retryAtMs = this.#options.now() + RETRY_MS;
    this.#options.onError(message, error);
  }
}

type Asked = Omit<RetrieveRequest, 'deadlineMs'>;
