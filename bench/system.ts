/**
 * The whole system, from an empty data folder: start-up, memory, live traffic that must reconcile with the report, a
 * second start, and a stop that leaves nothing behind. Each process is the one that `npm start` runs.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMarket, MARKET_SEED } from '../marketplace/market.ts';
import { runTraffic } from '../marketplace/traffic-run.ts';
import { startSystem } from '../scripts/system.ts';
import type { ExperimentReport } from '../shared/contract/experiments.ts';
import { DEFAULT_EXPERIMENT } from '../shared/defaults.ts';
import { freePort } from '../test/setup/free-port.ts';
import { type Bench, bounded, type Row } from './row.ts';

/** Process ids of a tree, its root included. */
function tree(root: number): number[] {
  const parents = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const found = [root];
  for (let i = 0; i < found.length; i++) for (const [pid, parent] of parents) if (parent === found[i]) found.push(pid!);
  return found;
}

/** Resident memory in MB, as `ps` tells it. */
function residentMb(pids: readonly number[]): number {
  return (
    pids.reduce(
      (sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0),
      0,
    ) / 1024
  );
}

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function timed<T>(work: () => Promise<T>): Promise<[T, seconds: number]> {
  const began = performance.now();
  return [await work(), (performance.now() - began) / 1000];
}

export const system: Bench = async ({ quick, say }) => {
  const queries = quick ? 2_000 : 20_000;
  const dataDir = mkdtempSync(join(tmpdir(), 'harness-system-'));
  const [edgePort, backendPort] = [await freePort(), await freePort()];
  const start = () => startSystem({ dataDir, bundleDir: 'models/default', edgePort, backendPort, say });
  const rows: Row[] = [];
  try {
    const [first, firstSeconds] = await timed(start);
    rows.push(bounded('first start, from an empty folder', firstSeconds, 's', ['<=', 60]));

    const market = createMarket({ seed: MARKET_SEED });
    let step = 0;
    const ids = new Set<string>();
    const [sent, seconds] = await timed(() =>
      runTraffic({
        edge: first.edgeUrl,
        queries,
        market,
        onAnswer: ({ requestId }) => ids.add(requestId),
        onProgress: ({ done }) => done >= (step + 1) * (queries / 10) && say(`traffic ${++step}0 %`),
      }),
    );
    rows.push({ metric: 'live traffic through edge and backend', value: queries / seconds, unit: 'searches/s' });
    const services = Object.values(first.pids());
    rows.push(
      bounded('resident memory of all processes after it', residentMb(services.flatMap(tree)), 'MB', ['<=', 1_500]),
    );

    const everything = services.flatMap(tree);
    const [, stopSeconds] = await timed(() => first.stop());
    rows.push(bounded('stop, events delivered', stopSeconds, 's', ['<=', 5]));
    rows.push(bounded('processes left behind', everything.filter(alive).length, 'processes', ['<=', 0]));

    const [second, secondSeconds] = await timed(start);
    rows.push(bounded('second start', secondSeconds, 's', ['<=', 10]));
    const report = await second.backend<ExperimentReport>('GET', `/v1/experiments/${DEFAULT_EXPERIMENT}/report`);
    await second.stop();

    const stored = report.arms.reduce((sum, arm) => sum + arm.queries, 0);
    const total = (key: string) =>
      report.metrics.find(({ metric }) => metric === key)!.arms.reduce((sum, arm) => sum + arm.total, 0);
    rows.push(
      bounded('answers without exactly one stored impression', Math.abs(ids.size - stored), 'answers', ['<=', 0]),
    );
    rows.push(
      bounded('clicks without exactly one stored row', Math.abs(sent.clicks - total('clicks')), 'clicks', ['<=', 0]),
    );
    rows.push(
      bounded(
        'searches not answered with 200',
        Object.values(sent.refused).reduce((a, b) => a + b, 0),
        'searches',
        ['<=', 0],
      ),
    );
    for (const metric of report.metrics) {
      const effect = metric.arms.find(({ effect }) => effect !== null)?.effect;
      if (effect?.relative == null || effect.relativeInterval === null) continue;
      const [low, high] = effect.relativeInterval;
      rows.push({
        metric: `treatment uplift, ${metric.title}`,
        value: effect.relative * 100,
        unit: `% [${(low * 100).toFixed(1)}, ${(high * 100).toFixed(1)}]`,
      });
      if (metric.metric === 'clicks')
        rows.push(bounded('lower end of the interval of clicks', low * 100, '%', ['>=', 0]));
    }
    return { rows, detail: { sent, report } };
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
};
