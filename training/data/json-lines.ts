/** Lines and JSON Lines, streamed: memory holds one block of the file. */
import { createReadStream } from 'node:fs';
import { HarnessError } from '../../shared/problem.ts';
import type { RawRow } from './records.ts';

const NEWLINE = 0x0a;
const BLOCK = 1 << 18;
const LONGEST_LINE = 1 << 26;

function parseLine(text: string, line: number): RawRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { line, fault: 'not JSON' };
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? { line, value: value as Record<string, unknown> }
    : { line, fault: 'expected a JSON object' };
}

/**
 * Lines of a file's bytes, block by block, without their ends. A line ends where JSON Lines says so: Unicode's other
 * line ends occur within texts.
 * @throws HarnessError where one is longer than 64 MiB: such a file has no lines.
 */
export async function* linesOf(path: string, blocks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const block of blocks) {
    const bytes = rest.length === 0 ? block : Buffer.concat([rest, block]);
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      yield bytes.toString('utf8', from, end);
      from = end + 1;
    }
    rest = bytes.subarray(from);
    if (rest.length > LONGEST_LINE)
      throw new HarnessError(
        'bad_request',
        `${path}: expected lines, found one of more than ${LONGEST_LINE >> 20} MiB.`,
      );
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

/** Lines of a file, streamed. */
export const readLines = (path: string): AsyncGenerator<string> =>
  linesOf(path, createReadStream(path, { highWaterMark: BLOCK }));

/** Lines of a file, all in memory. */
export async function allLines(path: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(path)) lines.push(line);
  return lines;
}

/** Rows with their line numbers; blank lines are skipped, and so is a byte order mark. */
export async function* jsonRows(lines: AsyncIterable<string>): AsyncGenerator<RawRow> {
  let line = 0;
  for await (const text of lines) {
    line++;
    if (text.trim() !== '') yield parseLine(line === 1 ? text.replace(/^\uFEFF/, '') : text, line);
  }
}

/** Rows of a file of JSON Lines. */
export const readJsonLines = (path: string): AsyncGenerator<RawRow> => jsonRows(readLines(path));
