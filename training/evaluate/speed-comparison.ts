/** Speed of student against teacher over a sample of the test queries, each with the inputs that it really gets. */
import { seeded, shuffle } from '../data/seeded.ts';
import { type EncoderModel, TextEncoderSession } from '../runner/encoder.ts';
import type { TextTokenizer } from '../teacher/tokenizer.ts';
import type { TeacherTexts } from './oracle.ts';
import { type Contender, type EncoderSpeed, measureSpeed } from './speed.ts';

/** A teacher that runs here. */
export interface LocalTeacher extends EncoderModel {
  readonly tokenizer: TextTokenizer;
  /** The instruction that it reads before a query. */
  readonly queryPrompt?: string;
  /** What the report's note says of it, beside how it was measured. */
  readonly remark?: string;
}

export interface SpeedReport {
  readonly teacher: EncoderSpeed;
  readonly teacherBare: EncoderSpeed;
  readonly student: EncoderSpeed;
  /** p50 of the teacher with its real inputs / p50 of the student. */
  readonly latencyRatio: number;
  /** Student / teacher with its real inputs. */
  readonly throughputRatio: number;
  readonly latencyRatioBare: number;
  readonly throughputRatioBare: number;
  readonly queries: number;
  readonly note: string;
}

export interface SpeedComparisonOptions {
  readonly teacher: LocalTeacher;
  readonly candidate: { readonly model: Uint8Array; readonly tokenizer: TextTokenizer; readonly dimension: number };
  readonly texts: TeacherTexts;
  readonly settings: { readonly speedTexts: number };
  readonly seed: number;
  readonly threads: number;
}

const NOTE =
  'in turn, each with the inputs it really gets: teacher fp32, student as published; batch 1 on one thread, throughput in batches of 32 on all';

/** Opens both encoders twice (one thread, and all), measures, and closes them. */
export async function compareSpeed(options: SpeedComparisonOptions): Promise<SpeedReport> {
  const { teacher: local, candidate, texts, settings, seed, threads } = options;
  const rows = shuffle([...texts.bare.keys()], seeded(seed, 'speed')).slice(0, settings.speedTexts);
  const prompted = (all: readonly string[]) => rows.map((row) => (local.queryPrompt ?? '') + all[row]!);
  const dimension = local.config.hidden_size;
  const pair = async (model: Uint8Array | EncoderModel, shape: { tokenizer: TextTokenizer; dimension: number }) => ({
    single: await TextEncoderSession.open(model, { ...shape, threads: 1 }),
    full: await TextEncoderSession.open(model, { ...shape, threads }),
  });
  const teacher = await pair(local, { tokenizer: local.tokenizer, dimension });
  const student = await pair(candidate.model, candidate);
  const contenders: Record<'teacher' | 'teacherBare' | 'student', Contender> = {
    teacher: { ...teacher, texts: prompted(texts.real) },
    teacherBare: { ...teacher, texts: prompted(texts.bare) },
    student: { ...student, texts: rows.map((row) => texts.bare[row]!) },
  };
  const speed = await measureSpeed(contenders);
  for (const { single, full } of [teacher, student]) {
    await single.close();
    await full.close();
  }
  return {
    ...speed,
    latencyRatio: speed.teacher.p50Ms / speed.student.p50Ms,
    throughputRatio: speed.student.queriesPerSecond / speed.teacher.queriesPerSecond,
    latencyRatioBare: speed.teacherBare.p50Ms / speed.student.p50Ms,
    throughputRatioBare: speed.student.queriesPerSecond / speed.teacherBare.queriesPerSecond,
    queries: rows.length,
    note: local.remark ? `${NOTE}; ${local.remark}` : NOTE,
  };
}
