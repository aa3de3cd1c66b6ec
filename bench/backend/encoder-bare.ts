/**
 * What a session gives by itself, as a process: the worker's own tokenizer and session, on batches that are made before the
 * clock runs, with nothing before or behind. Told once what to run, it answers with texts a second.
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

/** Texts a second of `sessions` such processes at once. */
export async function bareThroughput(run: BareRun, sessions: number): Promise<number> {
  const rates = await Promise.all(
    Array.from({ length: sessions }, () => {
      const child = fork(import.meta.filename, { execArgv: ['--disable-warning=ExperimentalWarning'] });
      return new Promise<number>((resolve, reject) => {
        child.once('message', (rate) => resolve(rate as number));
        child.once('exit', (code) => reject(new Error(`the bare session ended with ${code} before it had a result`)));
        child.send(run);
      });
    }),
  );
  return rates.reduce((a, b) => a + b, 0);
}

async function measure({ texts, batch, tokenBudget, seconds }: BareRun): Promise<number> {
  const bundle = await loadBundle('models/default');
  const { manifest, paths } = bundle;
  const { dimension, student } = manifest;
  const session = await openSession({
    ...{ model: paths.student, name: paths.student, precision: student.precision },
    ...{ requested: 'cpu', threads: 1, dimension },
  });
  const tokenizer = await bundleTokenizer(bundle);
  const groups = Array.from({ length: Math.ceil(texts.length / batch) }, (_, i) =>
    tokenizer.batches(texts.slice(i * batch, (i + 1) * batch), tokenBudget),
  );
  let [done, from] = [0, performance.now()];
  const warmUntil = from + 500;
  for (let i = 0; performance.now() < warmUntil + 1_000 * seconds; i++) {
    for (const { ids, mask, indices, tokens } of groups[i % groups.length]!) {
      await session.run(ids, mask, { batch: indices.length, tokens });
      done += indices.length;
    }
    if (from < warmUntil && performance.now() >= warmUntil) [done, from] = [0, performance.now()];
  }
  return (1_000 * done) / (performance.now() - from);
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', async (run: BareRun) => {
    const rate = await measure(run);
    process.send!(rate, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(1));
}
