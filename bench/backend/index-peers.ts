/** faiss-cpu and hnswlib (bench/peers/index.py) as a process that answers over its standard streams. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { BenchVectors } from './ad-vectors.ts';
import type { Engine, Measured } from './index.ts';

export interface IndexPeers {
  engines: Engine[];
  /** Why there are none. */
  missing?: string;
  close(): void;
}

export async function openIndexPeers(
  { dir, dimension, files, count }: BenchVectors,
  options: { connectivity: number; expansionAdd: number; say: (line: string) => void },
): Promise<IndexPeers> {
  const none = (missing: string): IndexPeers => ({ engines: [], missing, close: () => {} });
  const python = process.env.HARNESS_PEERS_PYTHON;
  if (!python)
    return none('set HARNESS_PEERS_PYTHON to a python with faiss-cpu and hnswlib (pip install faiss-cpu hnswlib)');
  const settings = [count, dimension, options.connectivity, options.expansionAdd].map(String);
  const child = spawn(python, ['bench/peers/index.py', files.ads, files.queries, files.truth, dir, ...settings], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = new Promise<undefined>((resolve) => child.once('error', () => resolve(undefined)));
  const read = async <T>(): Promise<T | undefined> => {
    const line = await Promise.race([lines.next(), failed]);
    return line === undefined || line.done ? undefined : (JSON.parse(line.value) as T);
  };
  const started = await read<{ ready: Record<string, string>; memory: Record<string, number> }>();
  if (started === undefined) return none(`${python} has no faiss-cpu or no hnswlib (pip install faiss-cpu hnswlib)`);
  const engines = Object.entries(started.ready).map(
    ([engine, version]): Engine => ({
      name: `${engine} ${version}`,
      bytes: started.memory[engine]!,
      async run({ effort, threads, seconds }) {
        child.stdin.write(`${JSON.stringify({ engine, ef: effort, threads, seconds })}\n`);
        const answer = await read<Measured>();
        if (answer === undefined) throw new Error(`${engine} ended while it was searched`);
        return answer;
      },
    }),
  );
  return { engines, close: () => child.stdin.end() };
}
