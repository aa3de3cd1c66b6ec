/** The records that training reads: the schema of each kind, the dataset that gives them as streams, and what a bad row is. */
import { z } from 'zod';
import { Ad } from '../../shared/contract/ads.ts';

/** A query of the log. */
export const QueryRow = z.object({
  id: z.string().min(1),
  text: z.string().min(1),
  market: z.string(),
  frequency: z.number().nonnegative(),
  /** 'interpolation': a new phrasing of a known concept; 'extrapolation': a concept that training never saw. */
  slice: z.enum(['interpolation', 'extrapolation']),
  /** How the query was worded: name, synonym, typo, ... */
  kind: z.string(),
});
export type QueryRow = z.infer<typeof QueryRow>;

/** Grades of 2 and 3 are relevant. */
export const QrelRow = z.object({ queryId: z.string(), adId: z.string(), grade: z.int().min(0).max(3) });
export type QrelRow = z.infer<typeof QrelRow>;

/** General text. */
const TextRow = z.object({ text: z.string().min(1) });

/** Oracle context: what is known of a query offline, for the teacher alone. */
export const ContextRow = z.object({
  queryId: z.string(),
  /** On one line: files that keep it hold a text a line. */
  text: z.string().overwrite((text) => text.replace(/\s+/gu, ' ').trim()),
});
export type ContextRow = z.infer<typeof ContextRow>;

/** A definition and the word that it defines: an out-of-domain search task. */
export const GlossRow = z.object({ gloss: z.string().min(1), lemma: z.string().min(1) });
export type GlossRow = z.infer<typeof GlossRow>;

/** What happened in the log to one ad under one query. */
export const ClickRow = z.object({
  queryId: z.string(),
  adId: z.string(),
  /** How often people looked at it; less than it was shown, and no whole number, where positions are accounted for. */
  impressions: z.number().nonnegative(),
  clicks: z.int().nonnegative(),
});
export type ClickRow = z.infer<typeof ClickRow>;

/** Every file that training reads, with the schema of its rows. */
export const FILES = {
  'catalogue.jsonl': Ad,
  'queries.train.jsonl': QueryRow,
  'queries.validation.jsonl': QueryRow,
  'queries.test.jsonl': QueryRow,
  'clicks.train.jsonl': ClickRow,
  'qrels.validation.jsonl': QrelRow,
  'qrels.test.jsonl': QrelRow,
  'text.general.jsonl': TextRow,
  'oracle.train.jsonl': ContextRow,
  'oracle.validation.jsonl': ContextRow,
  'oracle.test.jsonl': ContextRow,
  'glosses.jsonl': GlossRow,
} as const;
/** Name of a file of the dataset. */
export type FileName = keyof typeof FILES;
/** A row of a file. */
export type RowOf<F extends FileName> = z.infer<(typeof FILES)[F]>;

/** Files that a dataset may lack; reading one that is not there gives no rows. */
export const OPTIONAL: ReadonlySet<FileName> = new Set<FileName>([
  'text.general.jsonl',
  'oracle.train.jsonl',
  'oracle.validation.jsonl',
  'oracle.test.jsonl',
  'glosses.jsonl',
]);

/** A row as it stands in a file, before its fields are named and checked; `line` counts from 1 (rows, in Parquet). */
export type RawRow =
  | { readonly line: number; readonly value: Readonly<Record<string, unknown>> }
  | { readonly line: number; readonly fault: string };

/** A row that is left out. */
export interface BadRow {
  readonly file: string;
  /** Counted from 1; rows in Parquet. */
  readonly line: number;
  readonly reason: string;
}

/** What was bad in one file, as read for one kind of record. */
export interface BadRowSummary {
  readonly records: FileName;
  /** As the settings name it; inside the dataset's folder without the folder. */
  readonly file: string;
  readonly rows: number;
  readonly bad: number;
  /** The first few. */
  readonly examples: readonly Omit<BadRow, 'file'>[];
}

/** What is done about bad rows. */
export interface ReadOptions {
  /** Share of bad rows above which a file is refused. */
  readonly maxBadShare: number;
  /** Told once of each bad row, however often its file is read. */
  readonly onBadRow: (bad: BadRow) => void;
}

/** A dataset, wherever its files are. */
export interface DatasetFolder {
  readonly folder: string;
  /** Whether the dataset has these records at all; only optional ones may be absent. */
  has(file: FileName): boolean;
  /** Rows of one kind, in order, streamed. @throws HarnessError where too many are bad. */
  read<F extends FileName>(file: F): AsyncGenerator<RowOf<F>>;
  /** Rows of one kind, all in memory. */
  all<F extends FileName>(file: F): Promise<RowOf<F>[]>;
  /** Hex SHA-256 over the named records' bytes, and over how they are mapped. */
  digest(files: readonly FileName[]): Promise<string>;
  /** Files with bad rows among what was read so far. */
  badRows(): BadRowSummary[];
}
