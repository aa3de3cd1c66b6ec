/**
 * Delimited text (comma or tab, a header line, quotes) as raw rows, streamed: memory holds one block of the file.
 * Source: RFC 4180. Bytes are parsed, not text: delimiter, quote and line end are ASCII and never part of a longer UTF-8 sequence.
 */
import { createReadStream } from 'node:fs';
import { HarnessError } from '../../shared/problem.ts';
import type { RawRow } from './records.ts';

const QUOTE = 0x22;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const BLOCK = 1 << 16;
/** A quoted field that is not closed within so many bytes is taken for a stray quote. */
const LONGEST_RECORD = 1 << 20;

interface Scan {
  readonly bytes: Buffer;
  /** Where the record begins. */
  readonly from: number;
  readonly delimiter: number;
  /** Whether nothing follows the bytes. */
  readonly last: boolean;
}

interface Field {
  readonly text: string;
  /** The first byte after the field: a delimiter, a line end, or the end of the bytes. */
  readonly end: number;
}

/** A quoted field that opens at `at`; undefined where it does not close within the bytes. */
function quotedField({ bytes, last }: Scan, at: number): Field | undefined {
  for (let from = at + 1, doubled = false; ; ) {
    const close = bytes.indexOf(QUOTE, from);
    if (close === -1 || (close + 1 === bytes.length && !last)) return undefined;
    if (bytes[close + 1] !== QUOTE) {
      const text = bytes.toString('utf8', at + 1, close);
      return { text: doubled ? text.replaceAll('""', '"') : text, end: close + 1 };
    }
    doubled = true;
    from = close + 2;
  }
}

function plainField({ bytes, delimiter }: Scan, at: number): Field {
  let end = at;
  while (end < bytes.length && bytes[end] !== delimiter && bytes[end] !== NEWLINE) end++;
  const atReturn = bytes[end - 1] === RETURN && end > at && bytes[end] !== delimiter;
  return { text: bytes.toString('utf8', at, atReturn ? end - 1 : end), end };
}

/** One record and where the next begins; undefined where the bytes end inside it. */
function record(scan: Scan): { fields: string[]; next: number; fault?: string } | undefined {
  const { bytes, delimiter, last } = scan;
  const fields: string[] = [];
  for (let at = scan.from; ; at++) {
    const field = bytes[at] === QUOTE ? quotedField(scan, at) : plainField(scan, at);
    if (!field) return undefined;
    fields.push(field.text);
    at = field.end;
    if (bytes[at] === RETURN && (bytes[at + 1] === NEWLINE || (last && at + 1 === bytes.length))) at++;
    if (at >= bytes.length) return last ? { fields, next: bytes.length } : undefined;
    if (bytes[at] === NEWLINE) return { fields, next: at + 1 };
    if (bytes[at] !== delimiter) {
      if (bytes[at] === RETURN && at + 1 === bytes.length) return undefined;
      const next = nextLine(bytes, at);
      if (next === undefined && !last) return undefined;
      return { fields, next: next ?? bytes.length, fault: 'text after a closing quote' };
    }
  }
}

function nextLine(bytes: Buffer, from: number): number | undefined {
  const end = bytes.indexOf(NEWLINE, from);
  return end === -1 ? undefined : end + 1;
}

function linesIn(bytes: Buffer, from: number, to: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE, from); at !== -1 && at < to; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}

interface TextRecord {
  /** The line that it begins on. */
  readonly line: number;
  readonly fields: readonly string[];
  readonly fault?: string;
}

/** Records with the line each begins on. A quote that never closes spoils its own line only. */
async function* records(path: string, delimiter: number): AsyncGenerator<TextRecord> {
  let bytes: Buffer = Buffer.alloc(0);
  let line = 1;
  function* take(last: boolean): Generator<TextRecord> {
    let from = 0;
    while (from < bytes.length) {
      const found = record({ bytes, from, delimiter, last });
      const next = found?.next ?? nextLine(bytes, from) ?? bytes.length;
      if (found) yield { line, ...found };
      else if (last || bytes.length - from > LONGEST_RECORD)
        yield { line, fields: [], fault: 'a quoted field is not closed' };
      else break;
      line += linesIn(bytes, from, next);
      from = next;
    }
    bytes = bytes.subarray(from);
  }
  for await (const block of createReadStream(path, { highWaterMark: BLOCK })) {
    bytes = bytes.length === 0 ? (block as Buffer) : Buffer.concat([bytes, block as Buffer]);
    for (const found of take(false)) yield found;
  }
  for (const found of take(true)) yield found;
}

export interface DelimitedOptions {
  /** One ASCII character. */
  readonly delimiter: string;
  /** Columns that must be there. */
  readonly columns?: readonly string[];
}

/**
 * Rows by the names in the header, all values text. Empty lines are skipped; a row with more or fewer fields than the header is bad.
 * @throws HarnessError where the header lacks a column.
 */
export async function* readDelimited(
  path: string,
  { delimiter, columns = [] }: DelimitedOptions,
): AsyncGenerator<RawRow> {
  let header: readonly string[] | undefined;
  for await (const { line, fields, fault } of records(path, delimiter.charCodeAt(0))) {
    if (!header) {
      header = fields.map((name, i) => (i === 0 ? name.replace(/^\uFEFF/, '') : name));
      requireColumns(path, { wanted: columns, found: header });
    } else if (fault) yield { line, fault };
    else if (fields.length !== header.length) {
      if (fields.length > 1 || fields[0] !== '')
        yield { line, fault: `expected ${header.length} fields, found ${fields.length}` };
    } else yield { line, value: Object.fromEntries(header.map((name, i) => [name, fields[i]])) };
  }
  if (!header) throw new HarnessError('bad_request', `${path}: expected a header line, found an empty file.`);
}

/** @throws HarnessError naming the first column that is not there, and those that are. */
export function requireColumns(
  path: string,
  { wanted, found }: { wanted: readonly string[]; found: readonly string[] },
): void {
  const missing = wanted.find((column) => !found.includes(column));
  if (missing !== undefined)
    throw new HarnessError(
      'configuration',
      `${path}: expected a column '${missing}', found ${found.map((name) => `'${name}'`).join(', ')}; map it in data.sources.`,
    );
}
