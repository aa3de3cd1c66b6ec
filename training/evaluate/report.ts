/** The evaluation of a bundle: quality of student, teacher and floors on the test split, recovery with intervals, slices, and speed. */
import type { Ad } from '../../shared/contract/ads.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { RelevanceMap } from '../../shared/relevance.ts';
import type { RecipeConfig } from '../config.ts';
import type { DatasetFolder } from '../data/records.ts';
import { seeded } from '../data/seeded.ts';
import { floatModel, TextEncoderSession } from '../runner/encoder.ts';
import type { Checkpoint } from '../teacher/checkpoint.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { coverageOver } from './coverage.ts';
import { lexicalFloor } from './lexical.ts';
import { type JudgedQuery, judgedQueries, mayShow } from './market.ts';
import { METRICS, type Metric, mean, measure, RELEVANT } from './metrics.ts';
import { type Pair, recovery } from './recovery.ts';
import { fitRelevance, type LabelledPair } from './relevance.ts';
import { type Hit, openSearch, unitRows } from './search.ts';
import { measureSpeed, type Speed } from './speed.ts';

/** What a bundle holds, as far as evaluation needs it. */
export interface Candidate {
  readonly model: Uint8Array;
  readonly tokenizer: TextTokenizer;
  readonly dimension: number;
  /** int8 [ids, dimension]. */
  readonly vectors: Int8Array;
  readonly adIds: readonly string[];
}

export interface EvaluateOptions {
  readonly candidate: Candidate;
  readonly teacher: Checkpoint;
  readonly dataset: DatasetFolder;
  readonly settings: RecipeConfig['evaluate'];
  readonly seed: number;
  readonly threads: number;
  readonly onStage: (stage: string) => void;
}

type Scores = Record<Metric, number>;
type Ratios = Scores & { readonly interval: Record<Metric, readonly [number, number]> };

export interface Slice extends Ratios {
  readonly queries: number;
  readonly teacher: Scores;
  readonly student: Scores;
}

export interface EvaluationReport {
  readonly split: 'test';
  readonly queries: number;
  /** Queries without a relevant ad in their market: no ranking of theirs can be right, they are left out. */
  readonly queriesWithoutRelevant: number;
  readonly relevantFrom: number;
  /** Student over teacher on all test queries, with 95 % intervals; and over what. */
  readonly recovery: Ratios & { readonly denominator: string };
  readonly teacher: Scores;
  readonly student: Scores;
  readonly floors: { readonly bm25: Scores };
  readonly slices: { readonly slice: Record<string, Slice>; readonly kind: Record<string, Slice> };
  /** Mean and smallest cosine between the student's and the teacher's vectors of the test queries. */
  readonly cosine: { readonly mean: number; readonly smallest: number };
  readonly speed: Speed & { readonly note: string };
}

/** Depth of the rankings that metrics look at. */
const DEPTH = 100;
const SMALLEST_SLICE = 20;

function groups(
  rows: readonly { query: JudgedQuery; pair: Pair }[],
  by: 'slice' | 'kind',
  options: Pick<EvaluateOptions, 'settings' | 'seed'>,
) {
  const names = [...new Set(rows.map(({ query }) => query[by]))].sort();
  const entries = names.flatMap((name) => {
    const pairs = rows.filter(({ query }) => query[by] === name).map(({ pair }) => pair);
    if (pairs.length < SMALLEST_SLICE) return [];
    const { queries, teacher, student, ratio, interval } = recovery(pairs, {
      samples: options.settings.bootstrapSamples,
      random: seeded(options.seed, 'bootstrap', by, name),
    });
    return [[name, { queries, ...ratio, interval, teacher, student }] as const];
  });
  return Object.fromEntries(entries);
}

function cosines(a: Float32Array, b: Float32Array, dimension: number): number[] {
  return Array.from({ length: a.length / dimension }, (_, row) => {
    let [dot, aa, bb] = [0, 0, 0];
    for (let i = row * dimension; i < (row + 1) * dimension; i++) {
      dot += a[i]! * b[i]!;
      aa += a[i]! ** 2;
      bb += b[i]! ** 2;
    }
    return dot / Math.sqrt(aa * bb);
  });
}

/** Ads in the order of the candidate's vectors. @throws HarnessError where the catalogue lacks one. */
function adsInOrder(ads: readonly Ad[], ids: readonly string[]): Ad[] {
  const byId = new Map(ads.map((ad) => [ad.id, ad]));
  return ids.map((id) => {
    const ad = byId.get(id);
    if (!ad)
      throw new HarnessError(
        'bundle_damaged',
        `ad ${id} of the bundle is not in the catalogue: bundle and data do not belong together.`,
      );
    return ad;
  });
}

/**
 * The pairs that an ensemble meets, with the judges' word: what the student finds for each validation query, and as many
 * ads of the query's market as share most of its words.
 */
function labelledPairs(options: {
  ads: readonly Ad[];
  /** float32 [ads, dimension] and [queries, dimension], rows of length 1. */
  rows: Float32Array;
  vectors: Float32Array;
  validation: readonly JudgedQuery[];
  hits: readonly (readonly Hit[])[];
}): LabelledPair[] {
  const { ads, rows, vectors, validation, hits } = options;
  const dimension = rows.length / ads.length;
  const coverageOf = coverageOver(ads);
  const cosine = (query: number, row: number): number => {
    let sum = 0;
    for (let i = 0; i < dimension; i++) sum += vectors[query * dimension + i]! * rows[row * dimension + i]!;
    return sum;
  };
  return validation.flatMap((query, i) => {
    const coverage = coverageOf(query.normalized);
    const shared = [...coverage]
      .filter(([row]) => mayShow(ads[row]!, query))
      .sort(([a, x], [b, y]) => y - x || a - b)
      .slice(0, DEPTH);
    const bestCoverage = shared[0]?.[1] ?? 0;
    const met = new Set([...hits[i]!.map(({ row }) => row), ...shared.map(([row]) => row)]);
    return [...met].map((row) => ({
      cosine: cosine(i, row),
      coverage: coverage.get(row) ?? 0,
      bestCoverage,
      relevant: (query.judgements.get(ads[row]!.id) ?? 0) >= RELEVANT,
    }));
  });
}

export async function evaluate(
  options: EvaluateOptions,
): Promise<{ report: EvaluationReport; calibration: RelevanceMap }> {
  const { candidate, teacher, dataset, settings, seed, threads, onStage } = options;
  const { dimension } = candidate;
  onStage('reading the test split');
  const ads = adsInOrder(await dataset.all('catalogue.jsonl'), candidate.adIds);
  const { queries, withoutRelevant } = await judgedQueries(dataset, 'test');
  const validation = (await judgedQueries(dataset, 'validation')).queries;

  const teacherModel = floatModel(teacher);
  const open = (who: 'teacher' | 'student', count: number) =>
    TextEncoderSession.open(who === 'teacher' ? teacherModel : candidate.model, {
      tokenizer: who === 'teacher' ? teacher.tokenizer : candidate.tokenizer,
      dimension,
      threads: count,
    });
  const [teacherFull, studentFull] = [await open('teacher', threads), await open('student', threads)];
  const unit = unitRows(candidate.vectors, dimension);
  const search = await openSearch(unit, dimension);
  const hitsOf = async (vectors: Float32Array, of: readonly JudgedQuery[]) =>
    search.search(vectors, { k: DEPTH, allowed: (query, row) => mayShow(ads[row]!, of[query]!) });
  const idsOf = (hits: readonly { row: number }[]) => hits.map(({ row }) => ads[row]!.id);

  onStage(`ranking ${queries.length} test queries with teacher and student`);
  const texts = queries.map(({ normalized }) => normalized);
  const vectors = { teacher: await teacherFull.encode(texts), student: await studentFull.encode(texts) };
  const hits = { teacher: await hitsOf(vectors.teacher, queries), student: await hitsOf(vectors.student, queries) };
  const rows = queries.map((query, i) => ({
    query,
    pair: {
      teacher: measure(idsOf(hits.teacher[i]!), query.judgements),
      student: measure(idsOf(hits.student[i]!), query.judgements),
    },
  }));
  const all = recovery(
    rows.map(({ pair }) => pair),
    { samples: settings.bootstrapSamples, random: seeded(seed, 'bootstrap') },
  );

  onStage('ranking with BM25');
  const lexical = lexicalFloor(ads);
  const byId = new Map(ads.map((ad) => [ad.id, ad]));
  const lexicalScores = queries.map((query) => {
    const ranking = lexical.search(query.normalized, { k: DEPTH, allowed: (id) => mayShow(byId.get(id)!, query) });
    return measure(ranking, query.judgements);
  });

  onStage('fitting the relevance map on validation queries');
  const validationVectors = await studentFull.encode(validation.map(({ normalized }) => normalized));
  const labelled = labelledPairs({
    ads,
    rows: unit,
    vectors: validationVectors,
    validation,
    hits: await hitsOf(validationVectors, validation),
  });

  onStage('measuring latency and throughput');
  const singles = { teacher: await open('teacher', 1), student: await open('student', 1) };
  const speed = await measureSpeed(
    {
      teacher: { single: singles.teacher, full: teacherFull },
      student: { single: singles.student, full: studentFull },
    },
    { texts: texts.slice(0, settings.speedTexts) },
  );
  for (const closing of [teacherFull, studentFull, search, singles.teacher, singles.student]) await closing.close();

  const cosine = cosines(vectors.teacher, vectors.student, dimension);
  const report: EvaluationReport = {
    split: 'test',
    queries: queries.length,
    queriesWithoutRelevant: withoutRelevant,
    relevantFrom: RELEVANT,
    recovery: { denominator: 'teacher, fp32, on the bare query', ...all.ratio, interval: all.interval },
    teacher: all.teacher,
    student: all.student,
    floors: {
      bm25: Object.fromEntries(
        METRICS.map((metric) => [metric, mean(lexicalScores.map((scores) => scores[metric]))]),
      ) as Scores,
    },
    slices: { slice: groups(rows, 'slice', options), kind: groups(rows, 'kind', options) },
    cosine: { mean: mean(cosine), smallest: cosine.reduce((least, value) => Math.min(least, value), 1) },
    speed: {
      ...speed,
      note: 'teacher fp32 and student int8 in turn; batch 1 on one thread, throughput in batches of 32 on all',
    },
  };
  return { report, calibration: fitRelevance(labelled) };
}
