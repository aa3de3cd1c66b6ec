/**
 * Events on disk while the database is away: append-only files of frames, synced before the append resolves, bounded in
 * bytes. A frame is the length and CRC-32 of its payload, both u32 little-endian, and the payload, a request's events as
 * JSON. A file that is read has ended: what is new goes into another, and a file whose events are all stored is removed. A
 * process that is killed in between stores some events twice, which ingest counts once.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { HarnessError } from '../../shared/problem.ts';

export interface Spool {
  /** Resolves when the events are on disk; throws `not_ready` when there is no room for them. */
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
  /** Told of a file with a frame that is whole and wrong: what came before it is stored, the file is kept as `.damaged`. */
  onDamage: (file: string) => void;
}

const HEADER_BYTES = 8;
const SUFFIX = '.spool';

export function openSpool({ dir, maxBytes, fileBytes = 16 << 20, onDamage }: SpoolOptions): Spool {
  mkdirSync(dir, { recursive: true });
  const ended = new Map(files(dir).map((name) => [name, statSync(join(dir, name)).size]));
  let number = Math.max(0, ...[...ended.keys()].map((name) => Number.parseInt(name, 10)));
  let current: { name: string; handle: FileHandle; bytes: number } | undefined;
  let waiting: { frame: Buffer; resolve: () => void; reject: (error: unknown) => void }[] = [];
  let writing: Promise<void> | undefined;
  let draining: Promise<number> | undefined;
  let reserved = 0;
  const bytes = () => [...ended.values()].reduce((sum, size) => sum + size, current?.bytes ?? 0) + reserved;

  async function begin() {
    const name = `${String(++number).padStart(10, '0')}${SUFFIX}`;
    const handle = await open(join(dir, name), 'wx');
    syncFolder(dir);
    return { name, handle, bytes: 0 };
  }

  async function end(): Promise<void> {
    if (current === undefined) return;
    ended.set(current.name, current.bytes);
    const { handle } = current;
    current = undefined;
    await handle.close();
  }

  /** All that wait, in one write and one sync. */
  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      const block = Buffer.concat(group.map(({ frame }) => frame));
      try {
        current ??= await begin();
        await current.handle.appendFile(block);
        await current.handle.datasync();
        current.bytes += block.length;
        reserved -= block.length;
        if (current.bytes >= fileBytes) await end();
        for (const { resolve } of group) resolve();
      } catch (error) {
        // What the file ends in is unknown, so nothing is put behind it.
        reserved -= block.length;
        await end().catch(() => undefined);
        for (const { reject } of group) reject(error);
      }
    }
  }
  const flush = () => {
    writing ??= write().finally(() => {
      writing = undefined;
    });
    return writing;
  };

  /** Ends the file between two writes: asked again after each wait, since somebody may have begun one meanwhile. */
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
      const { payloads, damaged } = readFrames(readFileSync(path));
      for (const payload of payloads) {
        await store(JSON.parse(payload) as unknown[]);
        requests++;
      }
      if (damaged) {
        renameSync(path, `${path}.damaged`);
        onDamage(`${path}.damaged`);
      } else rmSync(path);
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

function files(dir: string): string[] {
  return readdirSync(dir).filter((name) => name.endsWith(SUFFIX));
}

/** A new name is on disk when its folder is. */
function syncFolder(dir: string): void {
  if (process.platform === 'win32' || !existsSync(dir)) return; // Windows opens no folders
  const folder = openSync(dir, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function frameOf(payload: string): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(bytes.length, 0);
  header.writeUInt32LE(crc32(bytes), 4);
  return Buffer.concat([header, bytes]);
}

/**
 * The whole frames of a file. One cut off at the end was never acknowledged, nor were zeros up to the end, which a crash leaves where the
 * file had grown and its content was not on disk; a frame that is whole and wrong is damage.
 */
export function readFrames(file: Buffer): { payloads: string[]; damaged: boolean } {
  const payloads: string[] = [];
  for (let at = 0; at + HEADER_BYTES <= file.length; ) {
    const from = at + HEADER_BYTES;
    const length = file.readUInt32LE(at);
    if (length === 0) return { payloads, damaged: file.subarray(at).some((byte) => byte !== 0) };
    at = from + length;
    if (at > file.length) break;
    const payload = file.subarray(from, at);
    if (crc32(payload) !== file.readUInt32LE(from - 4)) return { payloads, damaged: true };
    payloads.push(payload.toString());
  }
  return { payloads, damaged: false };
}
