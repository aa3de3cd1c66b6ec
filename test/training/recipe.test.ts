/** The recipe from its command line: data to bundle, killed and gone on, measured again, and what it says when something is wrong. */
import { type ChildProcess, spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseManifest } from '../../shared/bundle.ts';
import { readSafetensors } from '../../shared/safetensors.ts';
import defaults from '../../training/default.config.ts';
import { TINY } from './golden.ts';
import { smallAds, writeSmallMarket } from './small-market.ts';

const RECIPE = resolve('training/recipe.ts');
// Tests of several runs one after the other: only ends what hangs, on a machine however busy.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-recipe-'));
  await writeSmallMarket(join(folder, 'market'));
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify({
      ...defaults,
      name: 'small',
      teacher: { from: TINY, context: true },
      threads: 1,
      data: { ...defaults.data, folder: 'market', parts: 2 },
      finetune: { ...defaults.finetune, steps: 4, batch: 8, warmupSteps: 1, checkpointEvery: 2, chunkTokens: 128 },
      student: {
        ...defaults.student,
        stages: [
          { layers: 3, share: 0.1 },
          { layers: 2, intermediate: 48, share: 0.9 },
        ],
        maxTokens: 12,
      },
      align: { ...defaults.align, steps: 300, batch: 8, learningRate: 3e-3, warmupSteps: 5, checkpointEvery: 10 },
      refine: {
        ...defaults.refine,
        ...{ steps: 20, batch: 8, learningRate: 1e-3, warmupSteps: 2, checkpointEvery: 10 },
        negatives: { ...defaults.refine.negatives, refreshEvery: 10 },
      },
      harden: [
        { steps: 10, learningRate: 3e-4, warmupSteps: 1, replay: { texts: 4, weight: 1 } },
        { steps: 10, learningRate: 3e-4, warmupSteps: 1, noise: { typos: 0.5, dropped: 0.5 } },
      ],
      floors: {
        static: { dimension: 16, sif: 1e-3, alignSteps: 10, refineSteps: 10, learningRate: 3e-3 },
        naive: { steps: 10 },
      },
      export: { ...defaults.export, calibrationTexts: 8, fp16: true },
      evaluate: { bootstrapSamples: 50, speedTexts: 40, curveQueries: 10 },
    }),
  );
});
afterAll(() => rm(folder, { recursive: true }));

interface Run {
  readonly child: ChildProcess;
  /** Settles when the process has ended. */
  readonly ended: Promise<{ code: number | null; signal: string | null; out: string; err: string }>;
}

/** Starts the command in a working directory of its own, so that its cache is its own. */
function start(
  cwd: string,
  args: readonly string[],
  onErr: (all: string, child: ChildProcess) => void = () => {},
): Run {
  const child = spawn(process.execPath, [RECIPE, ...args], { cwd });
  let [out, err] = ['', ''];
  child.stdout.on('data', (part: Buffer) => {
    out += part;
  });
  child.stderr.on('data', (part: Buffer) => {
    err += part;
    onErr(err, child);
  });
  const ended = new Promise<Awaited<Run['ended']>>((done) => {
    child.on('close', (code, signal) => done({ code, signal, out, err }));
  });
  return { child, ended };
}

const place = async (name: string): Promise<string> => {
  await mkdir(join(folder, name));
  return join(folder, name);
};
const common = () => ['--config', join(folder, 'config.json'), '--data', join(folder, 'market')];

describe('npm run recipe', () => {
  let whole: string;
  let bundle: string;
  beforeAll(async () => {
    whole = await place('whole');
    bundle = join(whole, 'bundle');
    const { code, err } = await start(whole, [...common(), '--out', 'bundle']).ended;
    expect(code, err).toBe(0);
  });

  it('publishes a bundle whose manifest and vectors are what serving expects', async () => {
    expect((await readdir(bundle)).sort()).toEqual([
      'README.md',
      'ads.safetensors',
      'asked-terms.json',
      'head-queries.safetensors',
      'losses.svg',
      'manifest.json',
      'quality.svg',
      'report.json',
      'spelling.json',
      'student.fp16.onnx',
      'student.onnx',
      'teacher.json',
      'tokenizer.json',
    ]);
    const manifest = parseManifest(await readFile(join(bundle, 'manifest.json'), 'utf8'), 'manifest.json');
    expect(manifest).toMatchObject({ name: 'small', dimension: 32, maxTokens: 12, license: 'unknown' });
    expect(manifest.student).toMatchObject({ precision: 'int8', layers: 2, hidden: 32 });
    // Where things lay on the machine that trained is nobody's business.
    expect(JSON.stringify(manifest)).not.toContain(folder);
    const { tensors, metadata } = readSafetensors(Uint8Array.from(await readFile(join(bundle, 'ads.safetensors'))));
    const ids = new TextDecoder().decode(tensors.get('ids')!.data).split('\n');
    expect(ids).toEqual(smallAds().map(({ id }) => id));
    expect(tensors.get('vectors')).toMatchObject({ dtype: 'I8', shape: [ids.length, 32] });
    expect(new TextDecoder().decode(tensors.get('textDigests')!.data).split('\n')).toHaveLength(ids.length);
    expect(metadata.spaceId).toBe(manifest.spaceId);
    expect(manifest.calibration.cosine).not.toBe(0);
    expect(manifest.newWords!.calibration).not.toEqual(manifest.calibration);
    expect(manifest.cosineAdapter!.cosine).toBeGreaterThan(0);
    const { terms } = JSON.parse(await readFile(join(bundle, manifest.newWords!.file), 'utf8'));
    expect(terms.split(' ')).toContain('sock');
  });

  it('learns: the student keeps most of its teacher, and the report says so with intervals', async () => {
    const report = JSON.parse(await readFile(join(bundle, 'report.json'), 'utf8'));
    expect(report.queries).toBe(20);
    expect(report.recovery.p10).toBeGreaterThan(0.8);
    expect(report.recovery.interval.p10[0]).toBeLessThanOrEqual(report.recovery.p10);
    expect(report.recovery.denominator).toContain('oracle context (20 of 20');
    expect(report.cosine.teacherBare.mean).toBeGreaterThan(0.5);
    expect(report.asTyped.recovery.p10).toBeGreaterThan(0);
    for (const floor of ['bm25', 'static', 'naive']) expect(report.floors[floor].p10, floor).toBeGreaterThan(0);
    expect(report.training.stages).toMatchObject([
      { layers: [0, 1, 2], steps: 30 },
      { intermediate: 48, steps: 270 },
    ]);
    const { teach, align, refine } = report.training.losses;
    expect(teach.at(-1).step).toBe(4);
    expect(align.at(-1).quality.p10).toBeGreaterThan(0);
    expect(align.at(-1).loss).toBeLessThan(align[0].loss / 2);
    expect(refine.at(-1).step).toBe(20);
  });

  it('measures the published bundle again to the same quality', async () => {
    const { code, out, err } = await start(whole, ['evaluate', ...common(), '--bundle', 'bundle', '--json']).ended;
    expect(code, err).toBe(0);
    const [again, report] = [JSON.parse(out), JSON.parse(await readFile(join(bundle, 'report.json'), 'utf8'))];
    expect(again.recovery).toEqual(report.recovery);
    expect(again.slices).toEqual(report.slices);
    expect(again.speed.latencyRatio).toBeGreaterThan(0);
    expect(again.speed.throughputRatio).toBeGreaterThan(0);
  });

  it('fits the relevance maps anew to the same, and writes nothing but the manifest', async () => {
    const cwd = await place('calibrated');
    await cp(bundle, join(cwd, 'bundle'), { recursive: true });
    const path = join(cwd, 'bundle', 'manifest.json');
    const published = await readFile(path, 'utf8');
    const { cosineAdapter: _, ...older } = JSON.parse(published);
    const flat = { cosine: 0, coverage: 0, bestCoverage: 0, intercept: 0 };
    const uncalibrated = { ...older, calibration: flat, newWords: { ...older.newWords, calibration: flat } };
    await writeFile(path, JSON.stringify(uncalibrated));
    const { code, err } = await start(cwd, ['calibrate', ...common(), '--bundle', 'bundle']).ended;
    expect(code, err).toBe(0);
    expect(await readFile(path, 'utf8')).toBe(published);
    expect((await readdir(join(cwd, 'bundle'))).sort()).toEqual((await readdir(bundle)).sort());
  });

  it('measures it without its teacher too, from what the bundle says of that', async () => {
    const cwd = await place('without-teacher');
    const { code, out, err } = await start(cwd, ['evaluate', ...common(), '--bundle', bundle, '--json']).ended;
    expect(code, err).toBe(0);
    expect(err.match(/teacher \S+ is not here/g)).toHaveLength(1);
    // Nothing was trained, and nothing that is left out is made up.
    expect(await readdir(cwd)).toEqual([]);
    const [again, report] = [JSON.parse(out), JSON.parse(await readFile(join(bundle, 'report.json'), 'utf8'))];
    expect(again.recovery.denominator).toBe(report.recovery.denominator);
    for (const metric of ['p10', 'p100', 'ndcg10', 'mrr', 'recall100']) {
      expect(again.recovery[metric], metric).toBeCloseTo(report.recovery[metric], 3);
      expect(again.recoveryBare[metric], metric).toBeCloseTo(report.recoveryBare[metric], 3);
    }
    expect(again.student).toEqual(report.student);
    expect(again.floors).toEqual(report.floors);
    expect(again.cosine).toBeUndefined();
    expect(again.outOfDomain).toBeUndefined();
    expect(again.speed.teacher.tokens).toBe(report.speed.teacher.tokens);
    expect(again.speed.note).toContain('random ones in its shape');
    expect(report.speed.note).not.toContain('random');
  });

  it('ends in the same bytes after kill -9 at several moments', async () => {
    const cwd = await place('killed');
    const args = [...common(), '--out', 'bundle'];
    // While reading, at the first step, and as soon as a checkpoint is there.
    const onText = (text: string) => (err: string, child: ChildProcess) => {
      if (err.includes(text)) child.kill('SIGKILL');
    };
    expect((await start(cwd, args, onText('texts left out')).ended).signal).toBe('SIGKILL');
    const second = await start(cwd, args, onText('align  1/300')).ended;
    expect(second.signal).toBe('SIGKILL');
    const state = join(cwd, /state of alignment: (\S+)/.exec(second.err)![1]!);
    // On a busy machine a kill comes late: where the short first stage is over, all may be, and nothing would be left to be killed in.
    if (second.err.includes('stage 2:')) await rm(state, { recursive: true });
    // The same for the next one: of either stage.
    const stages = ['stage-0', 'stage-1'].map((stage) => join(state, stage));
    for (const stage of stages) await mkdir(stage, { recursive: true });
    const third = start(cwd, args);
    const watchers = stages.map((stage) =>
      watch(stage, (_, file) => {
        if (file === 'state.safetensors') third.child.kill('SIGKILL');
      }),
    );
    expect((await third.ended).signal).toBe('SIGKILL');
    for (const watcher of watchers) watcher.close();
    const last = await start(cwd, args).ended;
    expect(last.code, last.err).toBe(0);
    // It goes on, or has nothing left to align.
    expect(last.err).not.toContain('align  1/300');
    for (const file of ['student.onnx', 'ads.safetensors', 'tokenizer.json']) {
      expect((await readFile(join(cwd, 'bundle', file))).equals(await readFile(join(bundle, file))), file).toBe(true);
    }
  });

  it('refuses an altered bundle, naming the file', async () => {
    const cwd = await place('altered');
    await cp(bundle, join(cwd, 'bundle'), { recursive: true });
    await appendFile(join(cwd, 'bundle/student.onnx'), 'x');
    const { code, err } = await start(cwd, ['evaluate', ...common(), '--bundle', 'bundle']).ended;
    expect(code).toBe(1);
    expect(err).toMatch(/student\.onnx: expected SHA-256/);
  });
});

describe('what is wrong is one line', () => {
  it.each<[string, () => string[], RegExp]>([
    ['no data', () => ['--config', join(folder, 'config.json'), '--data', 'nowhere'], /npm run market/],
    ['no teacher', () => [...common(), '--teacher', 'no-such-thing'], /expected a folder with config\.json/],
    ['an unfit configuration', () => ['--config', join(folder, 'market/catalogue.jsonl')], /expected a configuration/],
    ['no bundle', () => ['evaluate', ...common(), '--bundle', 'nowhere'], /expected a bundle/],
  ])('%s', async (_, args, message) => {
    const { code, out, err } = await start(folder, args()).ended;
    expect(code).toBe(1);
    expect(out).toBe('');
    expect(err.trim().split('\n').at(-1)).toMatch(message);
    expect(err).not.toContain('    at ');
  });

  it('too many bad rows', async () => {
    await writeSmallMarket(join(folder, 'bad'), { badRows: 3 });
    const { code, err } = await start(folder, [...common(), '--data', join(folder, 'bad')]).ended;
    expect(code).toBe(1);
    expect(err).toMatch(/queries\.train\.jsonl:101: bad row: not JSON/);
    expect(err).toMatch(/1 of 101 rows are bad, more than the 0\.1 %/);
  });
});
