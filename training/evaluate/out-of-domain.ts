/**
 * The out-of-domain score: does the student still understand what the market never sells? A dictionary's gloss asks for its word among a
 * pool of words. The words are the teacher's vectors, the gloss is read by teacher or student: what the student loses is what it forgot.
 */
import { normalize } from '../../shared/text.ts';
import type { DatasetFolder, GlossRow } from '../data/records.ts';
import { compare, type Estimate } from './recovery.ts';
import { openSearch } from './search.ts';

const MEASURES = ['accuracy1', 'mrr10'] as const;
type Measure = (typeof MEASURES)[number];
const DEPTH = 10;

/** The score. */
export interface OutOfDomain {
  readonly queries: number;
  /** Distinct words that each gloss chooses from. */
  readonly pool: number;
  /** Share of glosses whose word comes first; mean reciprocal rank among the first ten. */
  readonly teacher: Readonly<Record<Measure, number>>;
  readonly student: Readonly<Record<Measure, number>>;
  /** student / teacher. */
  readonly kept: Estimate<Measure>;
}

/** Vectors [texts, dimension], rows of length 1. */
type Encode = (texts: readonly string[]) => Promise<Float32Array>;

export interface OutOfDomainOptions {
  readonly glosses: readonly GlossRow[];
  readonly dimension: number;
  /** The teacher's vectors of words, as documents. */
  readonly documents: Encode;
  readonly teacher: Encode;
  readonly student: Encode;
  readonly samples: number;
  readonly random: () => number;
}

/** The data's glosses, normalised like every query; none where it has none. */
export async function readGlosses(dataset: DatasetFolder): Promise<GlossRow[]> {
  const rows = dataset.has('glosses.jsonl') ? await dataset.all('glosses.jsonl') : [];
  return rows.map(({ gloss, lemma }) => ({ gloss: normalize(gloss), lemma: normalize(lemma) }));
}

/** 1 / rank of each gloss's word, 0 beyond the tenth. */
const measures = (hits: readonly (readonly { row: number }[])[], targets: readonly number[]) =>
  hits.map((list, query) => {
    const rank = list.findIndex(({ row }) => row === targets[query]);
    return { accuracy1: rank === 0 ? 1 : 0, mrr10: rank === -1 ? 0 : 1 / (rank + 1) };
  });

/** Searches every gloss's word with teacher and student. */
export async function outOfDomain(options: OutOfDomainOptions): Promise<OutOfDomain> {
  const { glosses, dimension, documents, samples, random } = options;
  const pool = [...new Set(glosses.map(({ lemma }) => lemma))];
  const rowOf = new Map(pool.map((lemma, row) => [lemma, row]));
  const targets = glosses.map(({ lemma }) => rowOf.get(lemma)!);
  const search = await openSearch(Float32Array.from(await documents(pool)), dimension);
  const texts = glosses.map(({ gloss }) => gloss);
  const measured = async (encode: Encode) =>
    measures(await search.search(await encode(texts), { k: DEPTH, allowed: () => true }), targets);
  const [teacher, student] = [await measured(options.teacher), await measured(options.student)];
  await search.close();
  const drawn = compare({ teacher, student }, { measures: MEASURES, samples, random });
  return {
    queries: glosses.length,
    pool: pool.length,
    teacher: drawn.scores('teacher'),
    student: drawn.scores('student'),
    kept: drawn.ratio('student', 'teacher'),
  };
}
