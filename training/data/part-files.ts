/**
 * Lines dealt into files: what is written waits in a small buffer per file, so that memory does not grow with the
 * number of lines.
 */
import { type FileHandle, open } from 'node:fs/promises';

const FLUSH_AT = 1 << 16;

/** Open files that lines are dealt to. */
export interface PartFiles {
  /** @param line Without line breaks. */
  write(index: number, line: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens the files, empty. */
export async function openPartFiles(paths: readonly string[]): Promise<PartFiles> {
  const files: FileHandle[] = [];
  for (const path of paths) files.push(await open(path, 'w'));
  const pending = paths.map((): string[] => []);
  const sizes = paths.map(() => 0);
  const flush = async (index: number) => {
    const text = pending[index]!.map((line) => `${line}\n`).join('');
    pending[index] = [];
    sizes[index] = 0;
    await files[index]!.appendFile(text);
  };
  return {
    async write(index, line) {
      pending[index]!.push(line);
      sizes[index]! += line.length;
      if (sizes[index]! > FLUSH_AT) await flush(index);
    },
    async close() {
      for (const index of paths.keys()) await flush(index);
      for (const file of files) await file.close();
    },
  };
}
