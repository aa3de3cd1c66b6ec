/**
 * The evaluation of a bundle on the test split: every system ranks the same queries over the same ads and is measured query by query
 * (report.ts makes recovery, floors and slices of that); then forgetting and speed. Also fits the relevance maps on validation queries.
 */
import type { Spelling } from '../../shared/spelling.ts';
import type { DatasetFolder } from '../data/records.ts';
import { seeded } from '../data/seeded.ts';
import { TextEncoderSession } from '../runner/encoder.ts';
import type { Teacher } from '../teacher/teacher.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import { lexicalFloor } from './lexical.ts';
import { adsInOrder, judgedQueries, mayShow } from './market.ts';
import { mean, measure, RELEVANT, type Scores } from './metrics.ts';
import { type TeacherTexts, teacherTexts } from './oracle.ts';
import { outOfDomain, readGlosses } from './out-of-domain.ts';
import {
  describeMeasures,
  type PublishedTeacher,
  publishedMeasures,
  type TeacherMeasures,
} from './published-teacher.ts';
import { scored } from './rank.ts';
import { fitRelevanceMaps, type RelevanceMaps } from './relevance-maps.ts';
import { type EvaluationReport, type Nearness, quality, type TrainedFloor, withPublishedFloors } from './report.ts';
import { openSearch, unitRows } from './search.ts';
import { sliceQueries, sliceRules } from './slices.ts';
import { compareSpeed, type LocalTeacher } from './speed-comparison.ts';

/** What a bundle holds, as far as evaluation needs it. */
export interface Candidate {
  readonly model: Uint8Array;
  readonly tokenizer: TextTokenizer;
  /**
   * What corrects queries before it reads them, where it has that, and the tokenizer without it: to say what correction
   * is worth.
   */
  readonly spelling?: { readonly correct: Spelling; readonly asTyped: TextTokenizer };
  readonly dimension: number;
  /** int8 [ids, dimension]. */
  readonly vectors: Int8Array;
  readonly adIds: readonly string[];
}

export interface EvaluateSettings {
  /** Resamples behind each 95 % interval. */
  readonly bootstrapSamples: number;
  /** Test queries timed at batch 1, drawn by seed. */
  readonly speedTexts: number;
}

/** Vectors of normalized queries, float32 [texts, dimension], rows of length 1. */
export type EncodeQueries = (texts: readonly string[]) => Promise<Float32Array>;

export interface EvaluateOptions {
  readonly candidate: Candidate;
  /** The teacher, or, where it is not at hand, what the bundle says of it. */
  readonly teacher: Teacher | PublishedTeacher;
  /** Whether the teacher reads oracle context where the data has it. */
  readonly teacherReadsContext: boolean;
  /** The teacher's own model where it runs here; speed is measured with it. */
  readonly local?: LocalTeacher;
  /** The trained floors, where training has made them (training/floors/). */
  readonly floors?: Partial<Record<TrainedFloor, EncodeQueries>>;
  /** The report that came with the bundle: it has the trained floors, which a bundle does not hold. */
  readonly published?: EvaluationReport;
  readonly dataset: DatasetFolder;
  readonly settings: EvaluateSettings;
  readonly seed: number;
  /** 0 takes one a core. */
  readonly threads: number;
  readonly onStage: (stage: string) => void;
}

/** Depth of the rankings that metrics look at. */
const DEPTH = 100;
const TEST_FILES = ['catalogue.jsonl', 'queries.test.jsonl', 'qrels.test.jsonl'] as const;

/** Names what a teacher is measured on: the test split with its contexts, and the catalogue. */
export const teacherData = (dataset: DatasetFolder): Promise<string> =>
  dataset.digest([...TEST_FILES, 'oracle.test.jsonl']);

/** Cosines of the rows of two matrices [n, dimension]. */
function nearness(a: Float32Array, b: Float32Array, dimension: number): Nearness {
  const cosines = Array.from({ length: a.length / dimension }, (_, row) => {
    let [dot, aa, bb] = [0, 0, 0];
    for (let i = row * dimension; i < (row + 1) * dimension; i++) {
      dot += a[i]! * b[i]!;
      aa += a[i]! ** 2;
      bb += b[i]! ** 2;
    }
    return dot / Math.sqrt(aa * bb);
  });
  return { mean: mean(cosines), smallest: cosines.reduce((least, value) => Math.min(least, value), 1) };
}

const denominatorsOf = ({ withContext, bare }: TeacherTexts) => ({
  teacher:
    withContext > 0
      ? `teacher with its real inputs: the query and oracle context (${withContext} of ${bare.length} queries have it)`
      : 'teacher with its real inputs: the bare query, since it reads no oracle context',
  teacherBare: 'teacher on the bare query',
});

export interface Evaluated {
  readonly report: EvaluationReport;
  readonly maps: RelevanceMaps;
  /** What a bundle says of the teacher's quality. */
  readonly described: Omit<PublishedTeacher, 'shape'>;
}

/** @throws HarnessError where bundle and data do not belong together. */
export async function evaluate(options: EvaluateOptions): Promise<Evaluated> {
  const { candidate, teacher: reference, dataset, settings, seed, threads, onStage, floors = {}, published } = options;
  const { dimension } = candidate;
  const samples = settings.bootstrapSamples;
  onStage('reading the test split');
  const ads = adsInOrder(await dataset.all('catalogue.jsonl'), candidate.adIds);
  const { queries, withoutRelevant } = await judgedQueries(dataset, 'test');
  const texts = teacherTexts(queries, { reads: options.teacherReadsContext });

  const unit = unitRows(candidate.vectors, dimension);
  const search = await openSearch(unit, dimension);
  const measured = (vectors: Float32Array) => scored(search, vectors, { ads, queries, k: DEPTH });
  const session = await TextEncoderSession.open(candidate.model, { ...candidate, threads });
  const student: EncodeQueries = (of) => session.encode(of);
  const { correct = (text: string) => text, asTyped } = candidate.spelling ?? {};
  const typed = async (tokenizer: TextTokenizer): Promise<Scores[]> => {
    const plain = await TextEncoderSession.open(candidate.model, { tokenizer, dimension, threads });
    const vectors = await plain.encode(texts.bare);
    await plain.close();
    return measured(vectors);
  };
  const teacher = 'encode' in reference ? reference : undefined;

  onStage(`ranking ${queries.length} test queries with ${teacher ? 'teacher and student' : 'the student'}`);
  const own = await student(texts.bare);
  const compared = async (): Promise<{ measures: TeacherMeasures; cosine?: EvaluationReport['cosine'] }> => {
    if (!('encode' in reference)) return { measures: publishedMeasures(reference, queries) };
    const bare = await reference.encode(texts.bare, { role: 'query' });
    const real = texts.withContext === 0 ? bare : await reference.encode(texts.real, { role: 'query' });
    return {
      measures: { teacherBare: await measured(bare), teacher: await measured(real) },
      cosine: { teacher: nearness(real, own, dimension), teacherBare: nearness(bare, own, dimension) },
    };
  };
  const { measures: teacherMeasures, cosine } = await compared();
  const trained: Partial<Record<TrainedFloor, Scores[]>> = {};
  // The floors' queries are put right as the student's are: what is compared is how they retrieve.
  for (const name of ['static', 'naive'] as const) {
    const encode = floors[name];
    if (encode) trained[name] = await measured(await encode(texts.bare.map(correct)));
  }
  onStage('ranking with BM25');
  const lexical = lexicalFloor(ads);
  const byId = new Map(ads.map((ad) => [ad.id, ad]));
  const bm25 = queries.map((query) => {
    const ranking = lexical.search(correct(query.normalized), {
      k: DEPTH,
      allowed: (id) => mayShow(byId.get(id)!, query),
    });
    return measure(ranking, query.judgements);
  });
  const measures = {
    bm25,
    ...trained,
    ...teacherMeasures,
    student: await measured(own),
    ...(asTyped ? { asTyped: await typed(asTyped) } : {}),
  };

  onStage('fitting the relevance maps on validation queries');
  const maps = await fitRelevanceMaps({ dataset, ads, rows: unit, search, encode: student });
  await search.close();

  // Its words must be encoded anew: without the teacher there is nothing to compare with.
  const glosses = teacher ? await readGlosses(dataset) : [];
  if (glosses.length > 0) onStage(`out of domain: ${glosses.length} glosses`);
  const forgotten =
    teacher && glosses.length > 0
      ? await outOfDomain({
          glosses,
          dimension,
          documents: (words) => teacher.encode(words, { role: 'document' }),
          teacher: (glossed) => teacher.encode(glossed, { role: 'query' }),
          student,
          samples,
          random: seeded(seed, 'bootstrap', 'out of domain'),
        })
      : undefined;
  await session.close();

  onStage('measuring latency and throughput');
  const speed = options.local && (await compareSpeed({ ...options, teacher: options.local, texts }));
  const report: EvaluationReport = {
    split: 'test',
    dataSha256: await dataset.digest(TEST_FILES),
    queries: queries.length,
    queriesWithoutRelevant: withoutRelevant,
    queriesWithContext: texts.withContext,
    relevantFrom: RELEVANT,
    ...quality({
      measures,
      slices: sliceQueries(queries, sliceRules(queries, ads)),
      denominators: denominatorsOf(texts),
      samples,
      seed,
    }),
    ...(cosine ? { cosine } : {}),
    ...(forgotten ? { outOfDomain: forgotten } : {}),
    ...(speed ? { speed } : {}),
  };
  return {
    report: published ? withPublishedFloors(report, published) : report,
    maps,
    described: {
      dataSha256: await teacherData(dataset),
      readsContext: options.teacherReadsContext,
      ...describeMeasures(teacherMeasures, queries),
    },
  };
}
