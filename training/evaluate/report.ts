/**
 * What an evaluation says, made from the measures of each test query under each system: quality, recovery against both denominators,
 * distance to the floors, slices. Pure: measuring is evaluate.ts.
 */
import { seeded } from '../data/seeded.ts';
import { METRICS, type Metric, type Scores } from './metrics.ts';
import type { OutOfDomain } from './out-of-domain.ts';
import { type Comparison, compare, type Estimate } from './recovery.ts';
import { type QuerySlice, type SliceGroup, SMALLEST_SLICE } from './slices.ts';
import type { SpeedReport } from './speed-comparison.ts';

/**
 * The systems. `teacher` reads what it really gets, `teacherBare` the query alone; `asTyped` is the student without the spelling that its
 * queries get, where they get one.
 */
const SYSTEMS = ['bm25', 'static', 'naive', 'teacherBare', 'teacher', 'student', 'asTyped'] as const;
export type System = (typeof SYSTEMS)[number];

/** What a student must beat to be worth serving; `static` and `naive` are trained, and there only where they were. */
export const FLOORS = ['bm25', 'static', 'naive'] as const;
export type FloorName = (typeof FLOORS)[number];
export type TrainedFloor = Exclude<FloorName, 'bm25'>;

/** Measures of each test query by system; a floor that was not trained is absent. */
export type Measures = Readonly<
  Record<Exclude<System, TrainedFloor | 'asTyped'>, readonly Scores[]> &
    Partial<Record<TrainedFloor | 'asTyped', readonly Scores[]>>
>;

/** student / teacher with 95 % intervals, and which teacher. */
export type Recovery = Estimate<Metric> & { readonly denominator: string };

export type Floor = Scores & {
  /** Student - floor, paired by query, with 95 % intervals. */
  readonly difference: Estimate<Metric>;
};

export interface Slice {
  readonly queries: number;
  readonly systems: Partial<Record<System, Scores>>;
  readonly recovery: Estimate<Metric>;
  readonly recoveryBare: Estimate<Metric>;
}

export interface Quality {
  readonly recovery: Recovery;
  readonly recoveryBare: Recovery;
  readonly teacher: Scores;
  readonly teacherBare: Scores;
  readonly student: Scores;
  /** The student without its spelling, and what it keeps of the teacher with its real inputs; absent where it has none. */
  readonly asTyped?: Scores & { readonly recovery: Estimate<Metric> };
  readonly floors: { readonly bm25: Floor } & Partial<Record<TrainedFloor, Floor>>;
  readonly slices: Readonly<Record<SliceGroup, Readonly<Record<string, Slice>>>>;
  /** Slices of too few queries. */
  readonly slicesLeftOut: readonly { readonly group: SliceGroup; readonly name: string; readonly queries: number }[];
}

/** How near the student's vectors of the test queries are to the teacher's. */
export interface Nearness {
  readonly mean: number;
  readonly smallest: number;
}

export interface EvaluationReport extends Quality {
  readonly split: 'test';
  /** Hex SHA-256 of the test split and the catalogue. */
  readonly dataSha256: string;
  readonly queries: number;
  /** Queries without a relevant ad in their market: no ranking of theirs can be right, they are left out. */
  readonly queriesWithoutRelevant: number;
  /** Queries with oracle context, which the teacher reads and the student does not. */
  readonly queriesWithContext: number;
  readonly relevantFrom: number;
  /** Cosine between the student's and the teacher's vectors of the test queries. Absent where the teacher is not at hand. */
  readonly cosine?: { readonly teacher: Nearness; readonly teacherBare: Nearness };
  /** Absent where the data has no glosses, or the teacher is not at hand. */
  readonly outOfDomain?: OutOfDomain;
  /** Absent where the teacher does not run here. */
  readonly speed?: SpeedReport;
}

export interface QualityOptions {
  readonly measures: Measures;
  readonly slices: readonly QuerySlice[];
  /** What each recovery is over, for people. */
  readonly denominators: { readonly teacher: string; readonly teacherBare: string };
  readonly samples: number;
  readonly seed: number;
}

type Present = Record<System, readonly Scores[]>;

/** Quality on all queries and on each slice large enough. */
export function quality({ measures, slices, denominators, samples, seed }: QualityOptions): Quality {
  // Systems that were not measured are not among the keys: `systems` guards every use of a floor below.
  const systems = SYSTEMS.filter((system) => measures[system] !== undefined);
  const compared = (rows: readonly number[] | 'all', label: readonly string[]): Comparison<System, Metric> => {
    const of = (all: readonly Scores[]) => (rows === 'all' ? all : rows.map((row) => all[row]!));
    const measured = Object.fromEntries(systems.map((system) => [system, of(measures[system]!)])) as Present;
    return compare(measured, { measures: METRICS, samples, random: seeded(seed, 'bootstrap', ...label) });
  };

  const all = compared('all', []);
  const floor = (name: FloorName): Floor => ({ ...all.scores(name), difference: all.difference('student', name) });
  const sliced: Record<SliceGroup, Record<string, Slice>> = {
    slice: {},
    kind: {},
    traffic: {},
    words: {},
    overlap: {},
  };
  for (const { group, name, rows } of slices) {
    if (rows.length < SMALLEST_SLICE) continue;
    const part = compared(rows, [group, name]);
    sliced[group][name] = {
      queries: rows.length,
      systems: Object.fromEntries(systems.map((system) => [system, part.scores(system)])),
      recovery: part.ratio('student', 'teacher'),
      recoveryBare: part.ratio('student', 'teacherBare'),
    };
  }
  return {
    recovery: { denominator: denominators.teacher, ...all.ratio('student', 'teacher') },
    recoveryBare: { denominator: denominators.teacherBare, ...all.ratio('student', 'teacherBare') },
    teacher: all.scores('teacher'),
    teacherBare: all.scores('teacherBare'),
    student: all.scores('student'),
    ...(measures.asTyped ? { asTyped: { ...all.scores('asTyped'), recovery: all.ratio('asTyped', 'teacher') } } : {}),
    floors: {
      bm25: floor('bm25'),
      ...(measures.static ? { static: floor('static') } : {}),
      ...(measures.naive ? { naive: floor('naive') } : {}),
    },
    slices: sliced,
    slicesLeftOut: slices
      .filter(({ rows }) => rows.length < SMALLEST_SLICE)
      .map(({ group, name, rows }) => ({ group, name, queries: rows.length })),
  };
}

/** Adds the trained floors of the published report: they are not in a bundle and cannot be measured from it. */
export function withPublishedFloors(fresh: EvaluationReport, published: EvaluationReport): EvaluationReport {
  // A report of other data says nothing here.
  if (published.dataSha256 !== fresh.dataSha256) return fresh;
  const slices = Object.fromEntries(
    Object.entries(fresh.slices).map(([group, parts]) => [
      group,
      Object.fromEntries(
        Object.entries(parts).map(([name, part]) => {
          const before = published.slices[group as SliceGroup][name]?.systems ?? {};
          return [name, { ...part, systems: { ...before, ...part.systems } }];
        }),
      ),
    ]),
  ) as EvaluationReport['slices'];
  return { ...fresh, floors: { ...published.floors, ...fresh.floors }, slices };
}
