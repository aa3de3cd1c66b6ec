/**
 * What a session gives by itself, as a process: the worker's own tokenizer and session, on batches that are made before
 * the clock runs, with nothing before or behind. Told once what to run, it answers with texts per second and what each
 * costs.
 */
import { fork } from 'node:child_process';
import { loadBundle } from '../../gpu-backend/encoder/bundle.ts';
import { openSession } from '../../gpu-backend/encoder/ort.ts';
import { bundleTokenizer } from '../../gpu-backend/encoder/tokenize.ts';

export interface BareRun {
  texts: string[];
  /** Texts handed over at a time. */
  batch: number;
  tokenBudget: number;
  seconds: number;
}

export interface BareResult {
  /** Texts a second. */
  rate: number;
  /** Seconds of processor time a text: in the session, and before it in spelling and tokenizer. */
  session: number;
  reading: number;
}

/** `sessions` such processes at once: their rates together, their costs on average. */
export async function bareThroughput(run: BareRun, sessions: number): Promise<BareResult> {
  const results = await Promise.all(
    Array.from({ length: sessions }, () => {
      const child = fork(import.meta.filename, { execArgv: ['--disable-warning=ExperimentalWarning'] });
      return new Promise<BareResult>((resolve, reject) => {
        child.once('message', (result) => resolve(result as BareResult));
        child.once('exit', (code) => reject(new Error(`the bare session ended with ${code} before it had a result`)));
        child.send(run);
      });
    }),
  );
  const sum = (name: keyof BareResult) => results.reduce((total, result) => total + result[name], 0);
  return { rate: sum('rate'), session: sum('session') / sessions, reading: sum('reading') / sessions };
}

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function measure({ texts, batch, tokenBudget, seconds }: BareRun): Promise<BareResult> {
  const bundle = await loadBundle('models/default');
  const { manifest, paths } = bundle;
  const { dimension, student } = manifest;
  const session = await openSession({
    model: paths.student,
    name: paths.student,
    precision: student.precision,
    requested: 'cpu',
    threads: 1,
    dimension,
  });
  const tokenizer = await bundleTokenizer(bundle);
  const beforeReading = cpuSeconds();
  const groups = Array.from({ length: Math.ceil(texts.length / batch) }, (_, i) =>
    tokenizer.batches(texts.slice(i * batch, (i + 1) * batch), tokenBudget),
  );
  const reading = (cpuSeconds() - beforeReading) / texts.length;
  let [done, from, spent] = [0, performance.now(), 0];
  const warmUntil = from + 500;
  for (let i = 0; performance.now() < warmUntil + 1_000 * seconds; i++) {
    for (const { ids, mask, indices, tokens } of groups[i % groups.length]!) {
      await session.run(ids, mask, { batch: indices.length, tokens });
      done += indices.length;
    }
    if (from < warmUntil && performance.now() >= warmUntil) [done, from, spent] = [0, performance.now(), cpuSeconds()];
  }
  return { rate: (1_000 * done) / (performance.now() - from), session: (cpuSeconds() - spent) / done, reading };
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', async (run: BareRun) => {
    const result = await measure(run);
    process.send!(result, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(1));
}
