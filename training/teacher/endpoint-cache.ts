/**
 * Vectors that were paid for at an endpoint, in one SQLite file: a batch is there as a whole or not at all, whenever
 * the process is killed, and what is held in memory does not grow with what is stored. Texts themselves are not kept,
 * only their digests.
 */
import { hash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { HarnessError } from '../../shared/problem.ts';

/** Another process may be writing: how long to wait for it. */
const BUSY_MS = 30_000;
const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

const keyOf = (text: string): Uint8Array => hash('sha256', text, 'buffer');

/** Stored vectors of one endpoint and model. */
export class EndpointCache {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;

  /** Opens or makes the file. @throws HarnessError where something else lies there. */
  constructor(path: string) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.#database = new DatabaseSync(path, { timeout: BUSY_MS });
    try {
      // FULL: a batch costs more than a flush to disk.
      this.#database.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) STRICT;
      `);
      this.#find = this.#database.prepare('SELECT vector FROM vectors WHERE key = ?');
      this.#insert = this.#database.prepare('INSERT OR REPLACE INTO vectors (key, vector) VALUES (?, ?)');
    } catch (cause) {
      this.#database.close();
      throw new HarnessError(
        'bundle_damaged',
        `${path}: expected stored vectors, found ${(cause as Error).message}; delete it to have them computed again.`,
        { cause },
      );
    }
  }

  /** The vector of a text as the endpoint answered it, or undefined. */
  get(text: string): Float32Array | undefined {
    const row = this.#find.get(keyOf(text)) as { vector: Uint8Array<ArrayBuffer> } | undefined;
    return row && new Float32Array(row.vector.slice().buffer);
  }

  /** Stores a batch; when this returns, it is on disk. */
  put(texts: readonly string[], vectors: readonly Float32Array[]): void {
    this.#database.exec('BEGIN IMMEDIATE');
    texts.forEach((text, i) => {
      const { buffer, byteOffset, byteLength } = vectors[i]!;
      this.#insert.run(keyOf(text), new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
    });
    this.#database.exec('COMMIT');
  }

  /** Numbers in a vector, or undefined where nothing is stored yet. */
  dimension(): number | undefined {
    const row = this.#database.prepare('SELECT length(vector) AS bytes FROM vectors LIMIT 1').get();
    return row && (row.bytes as number) / FLOAT_BYTES;
  }

  close(): void {
    this.#database.close();
  }
}
