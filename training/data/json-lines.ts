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

/** Lines of a file, streamed, without their ends. @throws HarnessError where one is longer than 64 MiB: such a file has no lines. */
export async function* readLines(path: string): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const block of createReadStream(path, { highWaterMark: BLOCK })) {
    const bytes = rest.length === 0 ? (block as Buffer) : Buffer.concat([rest, block as Buffer]);
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

/** Lines of a file, all in memory. */
export async function allLines(path: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(path)) lines.push(line);
  return lines;
}

/** Rows with their line numbers; blank lines are skipped. */
export async function* readJsonLines(path: string): AsyncGenerator<RawRow> {
  let line = 0;
  for await (const text of readLines(path)) {
    line++;
    if (text.trim() !== '') yield parseLine(text, line);
  }
}
