/** Other people's files as our records: which files, which columns, which rows. Declarative, so that it can stand in a configuration. */
import type { z } from 'zod';
import { normalize } from '../../shared/text.ts';
import { orderless } from './held-out.ts';
import type { RawRow } from './records.ts';
import { hash32 } from './seeded.ts';

/** Formats that are read. */
export type Format = 'jsonl' | 'parquet' | 'csv' | 'tsv';
type Scalar = string | number | boolean;

/** Where one of our fields comes from. */
export type Column =
  /** Their column's name. */
  | string
  /** The same value for every row. */
  | { readonly constant: unknown }
  | {
      /** Their column's name; of several the first that is not empty. */
      readonly column: string | readonly string[];
      /** Taken where the column is empty. */
      readonly default?: unknown;
      /** Their values and ours, such as labels and grades; a row with any other value is bad. */
      readonly values?: Readonly<Record<string, unknown>>;
      /** Whether HTML tags and entities are taken out, and white space is made single spaces. */
      readonly plain?: boolean;
      /** Longest text, in UTF-16 code units: cut before the last word that does not fit. */
      readonly maxLength?: number;
    };

/**
 * A random share of the rows, the same each time: those whose hash of a column, as a share of all hashes, lies in
 * [from, to).
 */
export interface Share {
  /** Their column; equal texts, however written and in whatever word order, fall on the same side. */
  readonly of: string;
  readonly from: number;
  readonly to: number;
}

/** Where one kind of record comes from. */
export interface Source {
  /** Files or glob patterns; relative ones start at the working directory. */
  readonly files: string | readonly string[];
  /** Told by the files' ending where absent. */
  readonly format?: Format;
  /** Our fields and their columns; absent where the rows have our fields already. */
  readonly columns?: Readonly<Record<string, Column>>;
  /** Only rows with these values in their columns. */
  readonly where?: Readonly<Record<string, Scalar | readonly Scalar[]>>;
  readonly share?: Share;
  /** Their column of which a run of rows with the same value counts as one row: queries in a file of judgements, for example. */
  readonly distinct?: string;
}

/** Every column of theirs that a source looks at; undefined where it takes rows as they are. */
export function columnsOf({ columns, where = {}, share, distinct }: Source): string[] | undefined {
  if (!columns) return undefined;
  const mapped = Object.values(columns).flatMap((column) =>
    typeof column === 'string' ? column : 'constant' in column ? [] : column.column,
  );
  return [
    ...new Set([...mapped, ...Object.keys(where), ...(share ? [share.of] : []), ...(distinct ? [distinct] : [])]),
  ];
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

function withoutMarkup(text: string): string {
  return text
    .replace(/<[^<>]*>/gu, ' ')
    .replace(/&(?:#(\d{1,6})|(\w{2,6}));/gu, (entity, code?: string, name?: string) =>
      code ? String.fromCodePoint(Math.min(Number(code), 0x10ffff)) : (ENTITIES[name!] ?? entity),
    )
    .replace(/\s+/gu, ' ')
    .trim();
}

function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = text.lastIndexOf(' ', length);
  // Never half of a surrogate pair.
  return text.slice(0, end > 0 ? end : length).replace(/[\uD800-\uDBFF]$/, '');
}

const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === '';

/** A value as the schema's field wants it: text files know text only, and ids are often numbers. */
function fitted(value: unknown, type: string): unknown {
  if (type === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return String(value);
  if (typeof value !== 'string') return value;
  if (type === 'number') return Number.isNaN(Number(value)) ? value : Number(value);
  if (type === 'array') {
    try {
      return JSON.parse(value);
    } catch {
      return value;
    }
  }
  return value;
}

/** Thrown and caught here alone: the reason why a row is bad. */
class Fault extends Error {}

function fieldOf(column: Column, row: Readonly<Record<string, unknown>>): unknown {
  if (typeof column === 'string') return row[column];
  if ('constant' in column) return column.constant;
  const { values, plain, maxLength } = column;
  const names = typeof column.column === 'string' ? [column.column] : column.column;
  let value: unknown;
  for (const name of names) {
    const found = row[name];
    value = plain && typeof found === 'string' ? withoutMarkup(found) : found;
    if (!isEmpty(value)) break;
  }
  if (isEmpty(value)) return column.default;
  if (values) {
    if (!Object.hasOwn(values, String(value)))
      throw new Fault(`${names.join(', ')}: expected one of ${Object.keys(values).join(', ')}, found '${value}'`);
    return values[String(value)];
  }
  return maxLength !== undefined && typeof value === 'string' ? cut(value, maxLength) : value;
}

const allowed = (wanted: Scalar | readonly Scalar[], value: unknown): boolean =>
  Array.isArray(wanted) ? wanted.some((one) => String(one) === String(value)) : String(wanted) === String(value);

function inShare({ of, from, to }: Share, row: Readonly<Record<string, unknown>>): boolean {
  const point = hash32(`share ${orderless(normalize(String(row[of])))}`) / 2 ** 32;
  return from <= point && point < to;
}

/** Their rows as ours, in order: those asked for, with our fields. What cannot be mapped is passed on as a fault. */
export async function* mapRows(
  rows: AsyncIterable<RawRow>,
  source: Source,
  schema: z.ZodObject,
): AsyncGenerator<RawRow> {
  const { columns, where = {}, share, distinct } = source;
  const wanted = Object.entries(where);
  const types = Object.fromEntries(Object.entries(schema.shape).map(([field, { def }]) => [field, def.type]));
  let previous: unknown;
  for await (const row of rows) {
    if ('fault' in row) {
      yield row;
      continue;
    }
    const { line, value } = row;
    if (!wanted.every(([column, values]) => allowed(values, value[column]))) continue;
    if (share && !inShare(share, value)) continue;
    if (distinct !== undefined) {
      if (value[distinct] === previous) continue;
      previous = value[distinct];
    }
    if (!columns) {
      yield row;
      continue;
    }
    try {
      const fields = Object.entries(columns).map(([field, column]) => [
        field,
        fitted(fieldOf(column, value), types[field] ?? ''),
      ]);
      yield { line, value: Object.fromEntries(fields) };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      yield { line, fault: error.message };
    }
  }
}
