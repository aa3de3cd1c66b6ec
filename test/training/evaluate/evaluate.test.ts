/** A whole evaluation on the small market: who reads what, both denominators, trained floors, forgetting, and the published report. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adText } from '../../../shared/ad-text.ts';
import { openDataset } from '../../../training/data/dataset.ts';
import type { DatasetFolder } from '../../../training/data/records.ts';
import { type EvaluateOptions, evaluate } from '../../../training/evaluate/evaluate.ts';
import { describeShape, PublishedTeacher, standIn } from '../../../training/evaluate/published-teacher.ts';
import { encoderOf } from '../../../training/floors/floor.ts';
import { quantizeMatrix } from '../../../training/onnx/quantize.ts';
import { floatModel } from '../../../training/runner/encoder.ts';
import { type Checkpoint, readCheckpoint } from '../../../training/teacher/checkpoint.ts';
import { checkpointTeacher } from '../../../training/teacher/checkpoint-teacher.ts';
import type { Teacher } from '../../../training/teacher/teacher.ts';
import { TextTokenizer } from '../../../training/teacher/tokenizer.ts';
import { TINY } from '../golden.ts';
import { smallAds, writeSmallMarket } from '../small-market.ts';

const DIMENSION = 32;
const CONTEXT = 'leather and wool';

let folder: string;
let checkpoint: Checkpoint;
let dataset: DatasetFolder;
let base: EvaluateOptions;
const read: { text: string; role: string }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-evaluate-'));
  await writeSmallMarket(folder);
  dataset = openDataset(folder, { maxBadShare: 0, onBadRow: () => {} });
  const contexts: object[] = [];
  for await (const { id } of dataset.read('queries.test.jsonl')) contexts.push({ queryId: id, text: CONTEXT });
  const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await writeFile(join(folder, 'oracle.test.jsonl'), lines(contexts));
  const glosses = [
    { gloss: 'red leather for men', lemma: 'belt' },
    { gloss: 'running', lemma: 'shoe' },
  ];
  await writeFile(join(folder, 'glosses.jsonl'), lines(glosses));
  dataset = openDataset(folder, { maxBadShare: 0, onBadRow: () => {} });

  checkpoint = await readCheckpoint(TINY);
  const inner = checkpointTeacher(checkpoint, { threads: 1 });
  const teacher: Teacher = {
    ...inner,
    encode(texts, options) {
      read.push(...texts.map((text) => ({ text, role: options.role })));
      return inner.encode(texts, options);
    },
  };
  const ads = smallAds();
  const vectors = await inner.encode(ads.map(adText), { role: 'document' });
  base = {
    candidate: {
      model: floatModel(checkpoint),
      tokenizer: checkpoint.tokenizer,
      dimension: DIMENSION,
      vectors: quantizeMatrix(vectors, [ads.length, DIMENSION], { along: 'rows' }).values,
      adIds: ads.map(({ id }) => id),
    },
    teacher,
    teacherReadsContext: true,
    dataset,
    settings: { bootstrapSamples: 20, speedTexts: 30 },
    seed: 1,
    threads: 1,
    onStage: () => {},
  };
});
afterAll(() => rm(folder, { recursive: true }));

describe('evaluate', () => {
  it('gives the teacher context beside the query, and the student the query alone', async () => {
    read.length = 0;
    // The student is the teacher: on the bare query it keeps all, with context it differs.
    const { report } = await evaluate(base);
    expect(report.queriesWithContext).toBe(report.queries);
    expect(report.recoveryBare).toMatchObject({ p10: 1, p100: 1, ndcg10: 1, mrr: 1, recall100: 1 });
    expect(report.recovery.ndcg10).not.toBe(1);
    expect(report.recovery.denominator).toContain('oracle context');
    expect(report.cosine?.teacherBare.smallest).toBeCloseTo(1, 5);
    expect(report.cosine?.teacher.mean).toBeLessThan(0.9999);
    const queries = read.filter(({ role }) => role === 'query').map(({ text }) => text);
    expect(queries).toContain('red socks of men');
    expect(queries).toContain(`red socks of men. ${CONTEXT}`);
    // Only the words of the dictionary are read as documents: the ads come with the bundle.
    expect(read.filter(({ role }) => role === 'document').map(({ text }) => text)).toEqual(['belt', 'shoe']);
    expect(report.outOfDomain).toMatchObject({ queries: 2, pool: 2, kept: { accuracy1: expect.any(Number) } });
    expect(report.outOfDomain?.student).toEqual(report.outOfDomain?.teacher);
    expect(report.speed).toBeUndefined();
  });

  it('has one denominator where the teacher reads no context', async () => {
    const { report } = await evaluate({ ...base, teacherReadsContext: false });
    expect(report.queriesWithContext).toBe(0);
    expect(report.recovery.p10).toBe(report.recoveryBare.p10);
    expect(report.recovery.denominator).toContain('reads no oracle context');
  });

  it('puts the queries of student and floors right alike, and says what that is worth', async () => {
    const correct = (text: string) => text.split(' ')[0]!;
    const { tokenizer: asTyped } = base.candidate;
    const tokenizer = new TextTokenizer(checkpoint.tokenizerJson, {
      maxTokens: asTyped.maxTokens,
      padId: checkpoint.config.pad_token_id ?? 0,
      spelling: correct,
    });
    const floor = encoderOf(checkpoint, { tokenizer: asTyped, threads: 1 });
    const candidate = { ...base.candidate, tokenizer, spelling: { correct, asTyped } };
    const { report } = await evaluate({ ...base, candidate, floors: { static: floor } });
    const { report: plain } = await evaluate({ ...base, floors: { static: floor } });
    expect(plain.asTyped).toBeUndefined();
    expect(report.student.p10).not.toBe(plain.student.p10);
    expect(report.asTyped).toEqual({
      ...plain.student,
      recovery: expect.objectContaining({ p10: plain.recovery.p10 }),
    });
    // The floor is the same encoder.
    expect(report.floors.static?.p10).toBe(report.student.p10);
    expect(report.floors.bm25.p10).not.toBe(plain.floors.bm25.p10);
    expect(report.teacherBare).toEqual(plain.teacherBare);
  });

  it('measures floors that were trained, and takes them from the published report of a bundle', async () => {
    const encode = encoderOf(checkpoint, { tokenizer: checkpoint.tokenizer, threads: 1 });
    // A floor that knows the first word only.
    const floor = (texts: readonly string[]) => encode(texts.map((text) => text.split(' ')[0]!));
    const { report: published } = await evaluate({ ...base, floors: { static: floor } });
    expect(published.floors.static?.p10).not.toBe(published.student.p10);
    expect(published.floors.static?.difference.p10).toBeCloseTo(published.student.p10 - published.floors.static!.p10);
    expect(published.floors.naive).toBeUndefined();
    const stored = JSON.parse(JSON.stringify(published)) as typeof published;
    const { report: again } = await evaluate({ ...base, published: stored });
    expect(again.floors).toEqual(published.floors);
    expect(again.slices).toEqual(published.slices);
  });

  it('compares with published measures of the teacher, query by query', async () => {
    const { described, report: live } = await evaluate(base);
    const stored = PublishedTeacher.parse(
      JSON.parse(JSON.stringify({ ...described, shape: describeShape(checkpoint) })),
    );
    const { report } = await evaluate({ ...base, teacher: stored, local: standIn(stored, checkpoint.tokenizerJson)! });
    expect(report.queriesWithContext).toBe(live.queriesWithContext);
    expect(report.teacherBare.ndcg10).toBeCloseTo(live.teacherBare.ndcg10, 4);
    expect(report.recovery.interval.ndcg10[0]).toBeCloseTo(live.recovery.interval.ndcg10[0], 3);
    expect(report.cosine).toBeUndefined();
    expect(report.outOfDomain).toBeUndefined();
    expect(report.speed?.note).toContain('random');
    const lost = { ...stored, queries: ['another', ...stored.queries.slice(1)] };
    await expect(evaluate({ ...base, teacher: lost })).rejects.toThrow(/measures of test query te-0-0, found none/);
  });

  it('times a teacher that runs here on both of its inputs', async () => {
    const { report } = await evaluate({ ...base, local: checkpoint });
    const { teacher, teacherBare, student, queries, latencyRatio } = report.speed!;
    expect(queries).toBe(20);
    expect(teacher.tokens).toBeGreaterThan(teacherBare.tokens);
    expect(student.tokens).toBe(teacherBare.tokens);
    expect(latencyRatio).toBeCloseTo(teacher.p50Ms / student.p50Ms, 12);
  });
});
