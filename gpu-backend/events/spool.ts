/**
 * Events on disk while the database is away: append-only files of frames, synced before the append resolves, bounded in
 * bytes. A frame is a header and its payload, a request's events as JSON. The header is three u32, little-endian: the
 * payload's length, its CRC-32, and the CRC-32 of these two, so that a length can be trusted before anything is read by
 * it. A file that is read has ended: what is new goes into another, and a file whose events are all stored is removed.
 * A process that is killed in between stores some events twice, which ingest counts once.
 */
import { accessSync, constants, mkdirSync, readdirSync, statSync } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { HarnessError } from '../../shared/problem.ts';
import { reasonOf } from '../db/sql-error.ts';
import { syncFolder } from '../sync-folder.ts';

export interface Spool {
  /** Resolves when the events are on disk; throws `not_ready` when there is no room for them, or they cannot be written. */
  append(events: readonly unknown[]): Promise<void>;
  /**
   * Hands every request that is on disk to `store`, and forgets it when that has resolved; ends with the first failure.
   * One drain at a time. Resolves with the number of requests handed over.
   */
  drain(store: (events: readonly unknown[]) => Promise<unknown>): Promise<number>;
  /** Bytes on disk that wait to be stored. */
  bytes(): number;
  close(): Promise<void>;
}

export interface SpoolOptions {
  /** A folder of its own; made where it is missing. */
  dir: string;
  /** Events beyond are refused. */
  maxBytes: number;
  /** Size at which the next file is begun. */
  fileBytes?: number;
  /** Called for a damaged file (see {@link readFrames}): its whole frames are stored, the file is kept as `.damaged`. */
  onDamage: (file: string) => void;
  /** Told of a write that failed; its events were refused. */
  onFailure: (error: unknown) => void;
}

const HEADER_BYTES = 12;
const SUFFIX = '.spool';

/** Throws `configuration` where the folder cannot be written. */
export function openSpool({ dir, maxBytes, fileBytes = 16 << 20, onDamage, onFailure }: SpoolOptions): Spool {
  const files = openFolder(dir);
  const ended = new Map([...files].filter(([name]) => name.endsWith(SUFFIX)));
  // Of damaged files too: their names are not to be taken twice.
  let number = Math.max(0, ...[...files.keys()].map((name) => Number.parseInt(name, 10) || 0));
  let current: { name: string; handle: FileHandle; bytes: number } | undefined;
  let waiting: { frame: Buffer; resolve: () => void; reject: (error: unknown) => void }[] = [];
  let writing: Promise<void> | undefined;
  let draining: Promise<number> | undefined;
  let reserved = 0;
  const bytes = () => [...ended.values()].reduce((sum, size) => sum + size, current?.bytes ?? 0) + reserved;

  async function begin() {
    const name = `${String(++number).padStart(10, '0')}${SUFFIX}`;
    current = { name, handle: await open(join(dir, name), 'wx'), bytes: 0 };
    await syncFolder(dir);
    return current;
  }

  async function end(): Promise<void> {
    if (current === undefined) return;
    ended.set(current.name, current.bytes);
    const { handle } = current;
    current = undefined;
    await handle.close();
  }

  /**
   * Ends the file after its last whole write; one that has none is removed. If that fails too, a drain can still read
   * the file.
   */
  async function giveUp(): Promise<void> {
    if (current === undefined) return;
    const { name, handle, bytes } = current;
    await handle.truncate(bytes).catch(() => undefined);
    await end().catch(() => undefined);
    if (bytes > 0) return;
    await rm(join(dir, name)).then(
      () => ended.delete(name),
      () => undefined,
    );
  }

  /** All that wait, in one write and one sync. */
  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      const block = Buffer.concat(group.map(({ frame }) => frame));
      try {
        const file = current ?? (await begin());
        await file.handle.appendFile(block);
        await file.handle.datasync();
        file.bytes += block.length;
        if (file.bytes >= fileBytes) await end();
        for (const { resolve } of group) resolve();
      } catch (cause) {
        await giveUp(); // what the file ends in is unknown, so nothing is put behind it
        onFailure(cause);
        const error = new HarnessError(
          'not_ready',
          `The database is away and the events cannot be put on disk (${reasonOf(cause)}); send them again later.`,
          { cause, retryAfterSeconds: 10 },
        );
        for (const { reject } of group) reject(error);
      } finally {
        reserved -= block.length;
      }
    }
  }
  const flush = () => {
    writing ??= write().finally(() => {
      writing = undefined;
    });
    return writing;
  };

  /** Ends the file between two writes: checked again after each wait, since somebody may have begun one meanwhile. */
  async function endInPeace(): Promise<void> {
    while (writing !== undefined) await writing;
    await end();
  }

  async function drainAll(store: (events: readonly unknown[]) => Promise<unknown>): Promise<number> {
    for (let requests = 0; ; ) {
      await endInPeace(); // and again after each file: what was appended meanwhile is taken along
      const [name] = [...ended.keys()].sort();
      if (name === undefined) return requests;
      const path = join(dir, name);
      const file = await readSpooled(path);
      let damaged = file === undefined;
      const onDamaged = () => {
        damaged = true;
      };
      for (const payload of readFrames(file ?? Buffer.alloc(0), onDamaged)) {
        await store(JSON.parse(payload) as unknown[]);
        requests++;
      }
      if (damaged) {
        await rename(path, `${path}.damaged`);
        onDamage(`${path}.damaged`);
      } else await rm(path);
      ended.delete(name);
    }
  }

  return {
    bytes,
    async append(events) {
      const frame = frameOf(JSON.stringify(events));
      if (bytes() + frame.length > maxBytes) {
        throw new HarnessError(
          'not_ready',
          `The database is away and the spool is full: expected at most ${maxBytes} bytes in ${dir}; send the events again later.`,
          { retryAfterSeconds: 10 },
        );
      }
      reserved += frame.length;
      await new Promise<void>((resolve, reject) => {
        waiting.push({ frame, resolve, reject });
        void flush();
      });
    },
    drain(store) {
      draining ??= drainAll(store).finally(() => {
        draining = undefined;
      });
      return draining;
    },
    close: endInPeace,
  };
}

/** The files of the folder, with their sizes. */
function openFolder(dir: string): Map<string, number> {
  try {
    mkdirSync(dir, { recursive: true });
    accessSync(dir, constants.W_OK);
    return new Map(readdirSync(dir).map((name) => [name, statSync(join(dir, name)).size]));
  } catch (cause) {
    throw new HarnessError(
      'configuration',
      `${dir}: expected a folder that can be written, for events while the database is away, got: ${reasonOf(cause)}.`,
      { cause },
    );
  }
}

function frameOf(payload: string): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(bytes.length, 0);
  header.writeUInt32LE(crc32(bytes), 4);
  header.writeUInt32LE(crc32(header.subarray(0, 8)), 8);
  return Buffer.concat([header, bytes]);
}

/** The file at `path`, `undefined` where the disk does not give it back, so that it holds up none of the others. */
async function readSpooled(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (/^E[MN]FILE$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error; // no fault of the file's
    return undefined;
  }
}

/**
 * The payloads of the whole frames of a file, each looked at when it is asked for. One cut off at the end was never
 * acknowledged, nor were zeros up to the end, which a crash leaves where the file had grown and its content was not on
 * disk. Damage is a payload that is there and wrong, or a header that is: after that nobody knows where the next frame
 * begins.
 */
export function* readFrames(file: Buffer, onDamage: () => void): Generator<string, void, undefined> {
  for (let at = 0; at + HEADER_BYTES <= file.length; ) {
    const header = file.subarray(at, at + HEADER_BYTES);
    if (crc32(header.subarray(0, 8)) !== header.readUInt32LE(8)) {
      const rest = file.subarray(at);
      if (!rest.equals(Buffer.alloc(rest.length))) onDamage();
      return;
    }
    const from = at + HEADER_BYTES;
    at = from + header.readUInt32LE(0);
    if (at > file.length) return;
    const payload = file.subarray(from, at);
    if (crc32(payload) === header.readUInt32LE(4)) yield payload.toString();
    else onDamage();
  }
}
