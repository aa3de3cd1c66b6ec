/** A measurement as `bench/results/NAME-DATE.json` keeps it, and how a part that is measured again is merged into it. */
import type { Outcome } from './row.ts';

export interface Result extends Outcome {
  bench: string;
  quick: boolean;
  /** UTC, ISO 8601. */
  date: string;
  /** Of `machine()`. */
  machine: Record<string, string | number>;
}

/** What a result file is to hold from now on; or why it stays as it is, and the part is a file by itself. */
export type Merge = { result: Result } | { refused: string };

/**
 * The day's result with a part measured again: its rows where they were, new ones at the end, and its details. Refused
 * where the whole is missing, and where it was measured on another machine, because the rows of a table are compared
 * with each other.
 */
export function withPart(whole: Result | undefined, part: Result): Merge {
  if (whole === undefined) return { refused: 'the whole was not measured that day' };
  const differing = [...new Set([...Object.keys(whole.machine), ...Object.keys(part.machine)])].filter(
    (key) => whole.machine[key] !== part.machine[key],
  );
  if (differing.length > 0) {
    const named = ({ machine }: Result) => differing.map((key) => `${key} ${machine[key] ?? 'unknown'}`).join(', ');
    return { refused: `its rows are of another machine (${named(whole)}) than this one (${named(part)})` };
  }
  const again = new Map(part.rows.map((row) => [row.metric, row]));
  const known = new Set(whole.rows.map(({ metric }) => metric));
  const rows = [
    ...whole.rows.map((row) => again.get(row.metric) ?? row),
    ...part.rows.filter(({ metric }) => !known.has(metric)),
  ];
  const detail = { ...(whole.detail as object | undefined), ...(part.detail as object | undefined) };
  return { result: { ...whole, date: part.date, rows, ...(Object.keys(detail).length > 0 && { detail }) } };
}
