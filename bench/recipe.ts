/**
 * What the recipe gives: recovery, speed and floors of the default bundle; the orderings of the study; the training step; the bundle's size.
 *
 * The study needs the teacher as training left it in `.cache/`, the comparison with PyTorch a Python in HARNESS_PEERS_PYTHON.
 */
import { join } from 'node:path';
import { loadBundle } from '../gpu-backend/encoder/bundle.ts';
import { ABLATION, ablate } from '../training/ablate/ablate.ts';
import { loadConfig } from '../training/config.ts';
import { openRecipe, type RecipeContext } from '../training/context.ts';
import { METRIC_NAMES } from '../training/evaluate/metrics.ts';
import type { EvaluationReport, FloorName } from '../training/evaluate/report.ts';
import { readBundle } from '../training/publish.ts';
import { TextEncoderSession } from '../training/runner/encoder.ts';
import { evaluateBundle } from '../training/stages/evaluate.ts';
import { isTaught } from '../training/stages/teach.ts';
import { type Bench, bounded, type Row } from './row.ts';
import { trainingStep } from './training-step.ts';

const BUNDLE = 'models/default';
const LOADS = 5;

/** Recovery on the slices, against the teacher with its real inputs and, without a target, on the bare query. */
function recoveryRows({ slices }: EvaluationReport): Row[] {
  return (['interpolation', 'extrapolation'] as const).flatMap((name) => {
    const slice = slices.slice[name];
    if (!slice) return [];
    return (['p10', 'ndcg10'] as const).flatMap((metric): Row[] => {
      const label = `${name}, ${METRIC_NAMES[metric]}`;
      const kept = slice.recovery[metric];
      const [low, high] = slice.recovery.interval[metric];
      const interval = `student / teacher with its real inputs, [${low.toFixed(3)}, ${high.toFixed(3)}]`;
      return [
        name === 'interpolation'
          ? bounded(label, kept, interval, ['>=', 0.98])
          : { metric: label, value: kept, unit: interval },
        { metric: label, value: slice.recoveryBare[metric], unit: 'student / teacher on the bare query' },
        { metric: label, value: slice.systems.teacher![metric], unit: 'teacher with its real inputs' },
        { metric: label, value: slice.systems.student![metric], unit: 'student' },
        ...(slice.systems.asTyped
          ? [{ metric: label, value: slice.systems.asTyped[metric]!, unit: 'student, queries as typed' }]
          : []),
      ];
    });
  });
}

/** By how much the student beats each floor on P@10: the interval's lower end must be above 0. */
function floorRows({ floors }: EvaluationReport): Row[] {
  return Object.entries(floors).map(([name, { p10, difference }]) => {
    const [low, high] = difference.interval.p10;
    return {
      metric: `student - ${name}, P@10`,
      value: difference.p10,
      unit: `${name} alone ${p10.toFixed(3)}; 95 % [${low.toFixed(3)}, ${high.toFixed(3)}]`,
      target: 'interval above 0',
      ok: (name as FloorName) === 'naive' ? undefined : low > 0,
    } as Row;
  });
}

function speedRows({ speed }: EvaluationReport): Row[] {
  if (!speed) return [];
  return [
    bounded('latency, teacher / student', speed.latencyRatio, 'p50, batch 1, one thread', ['>=', 27]),
    bounded('throughput, student / teacher', speed.throughputRatio, 'batches of 32', ['>=', 20]),
    { metric: 'latency, bare teacher / student', value: speed.latencyRatioBare, unit: 'p50, batch 1, one thread' },
    { metric: 'throughput, student / bare teacher', value: speed.throughputRatioBare, unit: 'batches of 32' },
    { metric: 'student', value: speed.student.p50Ms, unit: 'ms p50, batch 1' },
    { metric: 'teacher', value: speed.teacher.p50Ms, unit: 'ms p50, batch 1' },
  ];
}

/** Size on disk, and the time from files to the first vector. */
async function bundleRows(): Promise<Row[]> {
  const { manifest } = await readBundle(BUNDLE);
  const times: number[] = [];
  for (let i = 0; i < LOADS; i++) {
    const began = performance.now();
    const { candidate } = await readBundle(BUNDLE);
    await loadBundle(BUNDLE);
    const session = await TextEncoderSession.open(candidate.model, candidate);
    await session.encode(['shoes']);
    times.push((performance.now() - began) / 1000);
    await session.close();
  }
  const { student, tokenizer, spelling } = manifest;
  const bytes = student.bytes + tokenizer.bytes + (spelling?.bytes ?? 0);
  return [
    bounded('student, tokenizer and spelling', bytes / 1e6, 'MB', ['<=', 20]),
    bounded('from files to the first vector', times.sort((a, b) => a - b)[LOADS >> 1]!, 's', ['<=', 1]),
  ];
}

/** Left out where the teacher is not at hand: every student of the study learns from it. */
async function orderingRows(context: RecipeContext, quick: boolean): Promise<{ rows: Row[]; detail?: unknown }> {
  const { manifest } = await readBundle(BUNDLE);
  if (!(await isTaught(context, manifest.teacher.sha256))) {
    context.say('the study is left out: it needs the fine-tuned teacher, which npm run recipe -- teach makes.');
    return { rows: [] };
  }
  const settings = quick
    ? {
        ...ABLATION,
        seeds: [1],
        alignSteps: 30,
        refineSteps: 20,
        teacher: { ...ABLATION.teacher, steps: 0 },
        queries: 300,
      }
    : ABLATION;
  const study = await ablate(context, settings);
  const rows = study.orderings.map(({ claim, first, second, outcome }) => ({
    metric: claim,
    value: first - second,
    unit: `P@10, ${first.toFixed(3)} - ${second.toFixed(3)}, ${settings.seeds.length} seeds: ${outcome}`,
    target: 'as the paper',
    ok: outcome === 'as the paper',
  }));
  return { rows, detail: study };
}

export const recipe: Bench = async ({ quick, say }) => {
  const config = await loadConfig(join('training', 'default.config.ts'), {});
  const context = openRecipe(config, say);
  const report = await evaluateBundle(context, BUNDLE);
  const orderings = await orderingRows(context, quick);
  const rows = [
    ...recoveryRows(report),
    ...speedRows(report),
    ...floorRows(report),
    ...orderings.rows,
    ...(await trainingStep({ quick, say })),
    ...(await bundleRows()),
  ];
  return { rows, detail: { report, study: orderings.detail } };
};
