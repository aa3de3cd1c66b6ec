/**
 * The recipe's other ways, from its command line: a teacher behind an endpoint or on disk, students of other origins, every optimizer and
 * objective, phases left out, data in other formats. The commands run in this process: loading the runtime takes longer than they do.
 */
import { spawn } from 'node:child_process';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parquetWriteFile } from 'hyparquet-writer';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseManifest } from '../../shared/bundle.ts';
import { fromFloat32, writeSafetensors } from '../../shared/safetensors.ts';
import defaults from '../../training/default.config.ts';
import { createRecipeCommand } from '../../training/recipe.ts';
import { openRunner } from '../../training/runner/runner.ts';
import { adTexts } from '../../training/stages/catalogue.ts';
import { teacherInput } from '../../training/teacher/input.ts';
import {
  answerJson,
  type EmbeddingsServer,
  embeddingOf,
  startEmbeddingsServer,
} from '../fixtures/embeddings-server.ts';
import { TINY } from './golden.ts';
import { alignmentCase } from './runner/alignment-case.ts';
import { smallAds, writeSmallMarket } from './small-market.ts';

const FIXTURES = resolve('test/fixtures');
const RECIPE = resolve('training/recipe.ts');
const HOME = process.cwd();
/** The teacher's own width, and that of the space it is projected to. */
const [WIDTH, SPACE] = [48, 24];

let folder: string;
let market: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'harness-ways-'));
  market = join(folder, 'market');
  await writeSmallMarket(market);
});
afterEach(() => process.chdir(HOME));
afterAll(() => rm(folder, { recursive: true }));

type Settings = typeof defaults;
const short = { steps: 4, batch: 8, warmupSteps: 1, checkpointEvery: 2 };
/** Everything small; the parts given take the place of the defaults' parts. */
const settings = (parts: Partial<Settings>): Settings => ({
  ...defaults,
  name: 'small',
  threads: 1,
  teacher: { from: TINY, context: false },
  data: { ...defaults.data, folder: market, parts: 2 },
  finetune: { ...defaults.finetune, steps: 0, batch: 8, chunkTokens: 128 },
  adapt: { ...defaults.adapt, ...short, rank: 4 },
  student: { ...defaults.student, stages: [{ layers: 2, share: 1 }], maxTokens: 12 },
  align: { ...defaults.align, ...short },
  refine: { ...defaults.refine, ...short },
  harden: [],
  floors: {
    static: { dimension: 16, sif: 1e-3, alignSteps: 0, refineSteps: 0, learningRate: 3e-3 },
    naive: { steps: 0 },
  },
  export: { ...defaults.export, calibrationTexts: 4 },
  evaluate: { bootstrapSamples: 20, speedTexts: 4, curveQueries: 0 },
  ...parts,
});

/** A working directory, and in it the configuration. */
async function place(name: string, parts: Partial<Settings>): Promise<string> {
  const cwd = join(folder, name);
  await mkdir(cwd);
  await writeFile(join(cwd, 'config.json'), JSON.stringify(settings(parts)));
  return cwd;
}

/** Runs the command in a working directory, as the shell would. */
async function run(cwd: string, args: readonly string[]): Promise<{ out: string; err: string }> {
  process.chdir(cwd);
  const said = { out: '', err: '' };
  const keep = (to: 'out' | 'err') => (text: string | Uint8Array) => {
    said[to] += String(text);
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(keep('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(keep('err')),
  ];
  try {
    await createRecipeCommand().parseAsync([...args, '--config', 'config.json'], { from: 'user' });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return said;
}
const json = async (cwd: string, args: readonly string[]) => JSON.parse((await run(cwd, [...args, '--json'])).out);
const bundled = async (cwd: string, file: string) => readFile(join(cwd, 'bundle', file));
const manifestOf = async (cwd: string) => parseManifest(String(await bundled(cwd, 'manifest.json')), 'manifest.json');

/** Hashed bag of words: texts that share words are near. */
function bagOfWords(text: string): number[] {
  const sum = new Array<number>(WIDTH).fill(0);
  for (const word of text.toLowerCase().match(/\w+/g) ?? [''])
    for (const [i, value] of embeddingOf(word.replace(/s$/, ''), WIDTH).entries()) sum[i]! += value;
  return sum;
}

describe('a teacher behind an endpoint, projected and adapted; a student from a checkpoint of another width', () => {
  let server: EmbeddingsServer;
  let interrupt: (() => void) | undefined;
  const answered: string[] = [];
  let cwd: string;
  let messy: string;
  let said: { out: string; err: string };

  beforeAll(async () => {
    server = await startEmbeddingsServer({
      dimension: WIDTH,
      intercept(response, { body: { input } }) {
        if (answered.length > 40 && interrupt) {
          interrupt();
          response.destroy();
          return true;
        }
        answered.push(...input);
        const data = input.map((text, index) => ({ object: 'embedding', index, embedding: bagOfWords(text) }));
        return answerJson(response, 200, { object: 'list', model: 'words', data });
      },
    });
    // A bad row in each kind of file: each costs a row, and nothing else.
    messy = join(folder, 'messy');
    await cp(market, messy, { recursive: true });
    for (const file of await readdir(messy)) await appendFile(join(messy, file), '{"not":"such a row"}\n');
    cwd = await place('endpoint', {
      device: 'webgpu',
      teacher: {
        from: {
          endpoint: { url: server.url, model: 'words', concurrency: 1, textsPerRequest: 10, encodingFormat: 'float' },
        },
        context: true,
        dimension: SPACE,
      },
      data: { ...settings({}).data, folder: messy, maxBadShare: 0.3 },
      adapt: { ...settings({}).adapt, accumulate: 2, ema: 0.5 },
      student: { ...settings({}).student, from: { checkpoint: TINY } },
      align: {
        ...{ ...short, steps: 4, batch: 8, learningRate: 1e-3, finalRate: 0.1, weightDecay: 0.01, clipNorm: 1 },
        ...{ optimizer: 'lion', beta1: 0.9, beta2: 0.99, schedule: 'wsd', ema: 0.9, accumulate: 2 },
        ...{ objective: 'kl', temperature: 0.1, matryoshka: [8, 16], trainWords: true },
      },
      refine: {
        ...settings({}).refine,
        ...{
          optimizer: 'muon',
          momentum: 0.95,
          schedule: 'cosine',
          ema: 0.9,
          accumulate: 2,
          noise: { typos: 0.5, dropped: 0.2 },
        },
        ...{ clusters: 4, coClicks: { weight: 0.5, perAd: 4 } },
        negatives: { ...defaults.refine.negatives, perQuery: 2, depth: 5, refreshEvery: 2 },
      },
      floors: { ...settings({}).floors, naive: { steps: 2 } },
      evaluate: { ...settings({}).evaluate, curveQueries: 5 },
    } as Partial<Settings>);

    const child = spawn(process.execPath, [RECIPE, '--config', 'config.json', '--out', 'bundle'], { cwd });
    interrupt = () => child.kill('SIGKILL');
    const signal = await new Promise((done) => child.on('close', (_, by) => done(by)));
    interrupt = undefined;
    expect(signal).toBe('SIGKILL');
    said = await run(cwd, ['--out', 'bundle', '--json']);
  }, 600_000);
  afterAll(() => server.close());

  it('asks for no text twice, killed and gone on', () => {
    expect(answered.length).toBeGreaterThan(100);
    expect(answered.filter((text, i) => answered.indexOf(text) !== i)).toEqual([]);
    expect(answered).toContain(teacherInput({ text: 'sock red shoe', context: 'for sock red shoe for train' }));
  });

  it('publishes a student of its own tokenizer in the projected space', async () => {
    const manifest = await manifestOf(cwd);
    expect(manifest).toMatchObject({ dimension: SPACE, student: { layers: 2, hidden: 32 } });
    expect(manifest.teacher.name).toMatch(/^words/);
    // Where things lay on the machine that trained is nobody's business.
    expect(JSON.stringify(manifest)).not.toContain(folder);
    expect(manifest.provenance.config).toMatchObject({ student: { from: { checkpoint: 'bert-tiny' } } });
    const report = JSON.parse(said.out);
    expect(report.recovery.p10).toBeGreaterThan(0);
    expect(report.floors.naive.p10).toBeGreaterThan(0);
    // There is no model of the teacher here: nothing to time, and no vocabulary for a static floor.
    expect(report.speed).toBeUndefined();
    expect(report.floors.static).toBeUndefined();
    const { training } = JSON.parse(String(await bundled(cwd, 'report.json')));
    for (const phase of ['teach', 'align', 'refine']) {
      expect(training.losses[phase].at(-1), phase).toMatchObject({ step: 4, loss: expect.any(Number) });
    }
    expect(training.losses.align.at(-1).quality).toEqual({ p10: expect.any(Number), ndcg10: expect.any(Number) });
  });

  it('reports a bad row of each file once, with its line, and counts them all', async () => {
    const files = await readdir(messy);
    const { badRows } = JSON.parse(String(await bundled(cwd, 'report.json')));
    expect(badRows.map(({ file }: { file: string }) => file).toSorted()).toEqual(files.toSorted());
    for (const { bad, rows, examples } of badRows)
      expect({ bad, line: examples[0].line }).toEqual({ bad: 1, line: rows });
    const reported = said.err.match(/^\S+:\d+: bad row: /gm)!;
    expect(new Set(reported).size).toBe(reported.length);
  });

  it('honours the device, or says once that it cannot', async () => {
    const runner = await openRunner((await alignmentCase()).compiled, { device: 'webgpu', say: () => {} });
    const there = runner.device === 'webgpu';
    await runner.close();
    expect(said.err.match(/training runs on the CPU: webgpu was asked for/g) ?? []).toHaveLength(there ? 0 : 1);
  });

  it('has every sub-command as JSON, from what is on disk', async () => {
    const before = answered.length;
    for (const [command, steps] of [
      ['teach', 4],
      ['align', 4],
      ['refine', 4],
    ] as const) {
      expect((await json(cwd, [command])).at(-1), command).toMatchObject({ step: steps });
    }
    // As a shell completes the name of a folder.
    expect(await json(cwd, ['export', '--out', 'again/'])).toEqual(await manifestOf(cwd));
    expect(await readdir(join(cwd, 'again'))).toEqual(await readdir(join(cwd, 'bundle')));
    const again = await json(cwd, ['evaluate', '--bundle', 'bundle']);
    expect(again.recovery).toEqual(JSON.parse(said.out).recovery);
    expect(answered.length).toBe(before);
  });

  it('is measured without the endpoint, from what the bundle says of it', async () => {
    const elsewhere = join(folder, 'elsewhere');
    await mkdir(elsewhere);
    await cp(join(cwd, 'config.json'), join(elsewhere, 'config.json'));
    const before = server.requests.length;
    const { out, err } = await run(elsewhere, ['evaluate', '--bundle', join(cwd, 'bundle'), '--json']);
    expect(err).toMatch(/teacher words\S* is not here/);
    expect(JSON.parse(out).recovery.p10).toBeCloseTo(JSON.parse(said.out).recovery.p10, 3);
    expect(server.requests.length).toBe(before);
  });
});

describe('a teacher that is vectors on disk, taken as they are; a student from scratch; nothing else', () => {
  const scratch = {
    ...{ model_type: 'bert' as const, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2 },
    ...{ intermediate_size: 32, max_position_embeddings: 16, vocab_size: 0 },
  };
  async function bundle(name: string, seed: number): Promise<string> {
    const from = { scratch, tokenizer: join(TINY, 'tokenizer.json') };
    const cwd = await place(name, {
      seed,
      teacher: { from: { vectors: join(folder, 'vectors') }, context: false },
      adapt: { ...settings({}).adapt, steps: 0 },
      student: { ...settings({}).student, from },
      refine: { ...settings({}).refine, steps: 0 },
    } as Partial<Settings>);
    expect((await run(cwd, ['--out', 'bundle'])).out).toContain('P@10');
    return cwd;
  }

  it('gives the same bytes for the same seed, and others for another', async () => {
    scratch.vocab_size = JSON.parse(await readFile(join(TINY, 'config.json'), 'utf8')).vocab_size;
    await mkdir(join(folder, 'vectors'));
    const texts = new Set<string>();
    for (const file of await readdir(market)) {
      for (const line of (await readFile(join(market, file), 'utf8')).split('\n').filter(Boolean)) {
        const { text } = JSON.parse(line) as { text?: string };
        if (text) texts.add(text);
      }
    }
    for (const text of adTexts(smallAds())) texts.add(text);
    const rows = [...texts];
    const data = Float32Array.from(rows.flatMap(bagOfWords));
    await writeFile(
      join(folder, 'vectors/all.safetensors'),
      writeSafetensors({ tensors: new Map([['vectors', fromFloat32(data, [rows.length, WIDTH])]]), metadata: {} }),
    );
    await writeFile(join(folder, 'vectors/all.txt'), rows.map((text) => `${text}\n`).join(''));

    const [one, same, other] = [await bundle('one', 1), await bundle('same', 1), await bundle('other', 2)];
    expect(await manifestOf(one)).toMatchObject({
      dimension: WIDTH,
      student: { hidden: 16 },
      teacher: { name: 'vectors' },
    });
    expect(JSON.stringify(await manifestOf(one))).not.toContain(folder);
    const student = await bundled(one, 'student.onnx');
    expect(student.equals(await bundled(same, 'student.onnx'))).toBe(true);
    expect(student.equals(await bundled(other, 'student.onnx'))).toBe(false);
  });
});

describe('data in other formats', () => {
  const aligned = async (name: string, data: Partial<Settings['data']>) => {
    const cwd = await place(name, {
      data: { ...settings({}).data, maxBadShare: 0.2, parts: 1, ...data },
      align: { ...settings({}).align, steps: 2, batch: 2 },
    });
    return run(cwd, ['align', '--json']);
  };

  it.each(['esci', 'wands'] as const)('trains on the published files of %s', async (preset) => {
    const { out, err } = await aligned(preset, { preset, folder: join(FIXTURES, preset) });
    expect(JSON.parse(out).at(-1)).toMatchObject({ step: 2, loss: expect.any(Number) });
    expect(err).toMatch(/general text: \d+ texts asked for by data\.generalShare, the dataset has 0/);
  });

  it('trains on Parquet and TSV of any columns', async () => {
    const queries = (await readFile(join(market, 'queries.train.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; text: string; market: string });
    parquetWriteFile({
      filename: join(folder, 'log.parquet'),
      columnData: [
        { name: 'qid', data: queries.map(({ id }) => id), type: 'STRING' },
        { name: 'typed', data: queries.map(({ text }) => text), type: 'STRING' },
      ],
    });
    await writeFile(join(folder, 'terms.tsv'), `term\tlanguage\n${'leather belt\ten\nwool sock\ten\nla laine\tfr\n'}`);
    const { out } = await aligned('formats', {
      sources: {
        'queries.train': {
          files: join(folder, 'log.parquet'),
          columns: {
            ...{ id: 'qid', text: 'typed', market: { constant: 'us' }, frequency: { constant: 1 } },
            ...{ slice: { constant: 'interpolation' }, kind: { constant: 'name' } },
          },
        },
        'text.general': { files: join(folder, 'terms.tsv'), columns: { text: 'term' }, where: { language: 'en' } },
      },
    });
    expect(JSON.parse(out).at(-1)).toMatchObject({ step: 2, loss: expect.any(Number) });
  });
});

describe('--help', () => {
  const names = createRecipeCommand().commands.map((command) => command.name());
  it.each(['', ...names])('of recipe %s says what it does and prints JSON where asked', async (name) => {
    const program = createRecipeCommand();
    let help = '';
    for (const command of [program, ...program.commands])
      command.exitOverride().configureOutput({ writeOut: (text) => (help += text) });
    const args = name === '' ? ['--help'] : [name, '--help'];
    await expect(program.parseAsync(args, { from: 'user' })).rejects.toMatchObject({ code: 'commander.helpDisplayed' });
    expect(help).toContain('--json');
    expect(help).toContain('--config <file>');
    if (name === '') for (const sub of names) expect(help).toContain(`  ${sub} `);
  });
});
