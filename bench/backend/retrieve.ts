/**
 * `POST /v1/retrieve` end to end over HTTP: words and student over one market of a million ads (`HARNESS_BENCH_ADS` for fewer).
 * In turns: as much as it carries, then half of that at fixed times. No query comes twice within a load, so that no cache answers it.
 */
import { fileURLToPath } from 'node:url';
import { median } from 'simple-statistics';
import { startService } from '../../scripts/service.ts';
import type { RetrieveRequest } from '../../shared/contract/retrieve.ts';
import { Plan } from '../../shared/plan.ts';
import { NORMALIZER_VERSION } from '../../shared/text.ts';
import { bounded, type Row } from '../row.ts';
import { latencyRows, steadyTurns, watched } from '../standstill.ts';
import { benchAdCount } from './ads.ts';
import { benchGeneration } from './generation.ts';
import { PRODUCTION_FLAGS } from './production-flags.ts';
import { applyRetrieveLoad, type RetrieveLoad, type RetrieveLoadResult } from './retrieve-load.ts';

const KEYS = 'bench:a-secret-of-this-measurement';
/** Of saturation and half of it. */
const TURNS = 5;
/** In flight in the closed loop: enough that the service never waits for the load. */
const CONNECTIONS = 16;
const PLAN = Plan.parse({ retrievers: ['lexical', 'dense'], k: 40, minRelevance: 0.1 });

export interface RetrieveOptions {
  ads?: number;
  /** Seconds of each of the two loads, over all turns. */
  seconds: number;
  say: (line: string) => void;
}

export async function retrieveRows({ ads = benchAdCount(), seconds, say }: RetrieveOptions): Promise<Row[]> {
  const generation = await benchGeneration(ads, say);
  say('loading the generation');
  const server = await startService({
    name: 'retrieval server',
    entry: fileURLToPath(new URL('./retrieve-server.ts', import.meta.url)),
    env: { HARNESS_KEYS: KEYS, HARNESS_BENCH_GENERATION: generation.path },
    flags: [...PRODUCTION_FLAGS, '--max-old-space-size=8192'],
    onLine: say,
  });
  try {
    const requests = generation.queries.map(
      (query): RetrieveRequest => ({
        query,
        normalizerVersion: NORMALIZER_VERSION,
        market: 'us',
        locale: 'en',
        plan: PLAN,
        deadlineMs: 60_000,
      }),
    );
    let from = 0;
    const apply = async (load: Pick<RetrieveLoad, 'connections' | 'seconds' | 'rate'>) => {
      const result = await applyRetrieveLoad({ url: server.url, keys: KEYS, requests, from, ...load });
      from += result.answers;
      return result;
    };
    say('warming up');
    await apply({ connections: CONNECTIONS, seconds: Math.min(3, seconds) });
    const turns = await steadyTurns(TURNS, async (turn) => {
      const full = await apply({ connections: CONNECTIONS, seconds: seconds / TURNS });
      const rate = full.answers / full.seconds;
      const { result: half, stoodMs } = await watched(() =>
        apply({ connections: 256, seconds: seconds / TURNS, rate: rate / 2 }),
      );
      const said = `${rate.toFixed(0)} requests/s, p99 at half of it ${half.p99.toFixed(1)} ms`;
      say(`turn ${turn}: ${said}; the machine stood still for ${stoodMs.toFixed(1)} ms`);
      return { full, rate, half, stoodMs };
    });
    const { counted, all } = turns;
    const loads: RetrieveLoadResult[] = all.flatMap(({ full, half }) => [full, half]);
    const failed = loads.flatMap(({ statuses }) =>
      Object.entries(statuses).flatMap(([status, count]) => (status === '200' ? [] : [count])),
    );
    const { loadSeconds = 0, rss = 0 } = (await server.stop()) as { loadSeconds?: number; rss?: number };
    const of = `/v1/retrieve, ${ads} ads`;
    return [
      { metric: `${of}: build of the generation`, value: generation.buildSeconds, unit: 's' },
      { metric: `${of}: generation on disk`, value: generation.bytes / 1e6, unit: 'MB' },
      { metric: `${of}: load of the generation`, value: loadSeconds, unit: 's' },
      { metric: `${of}: memory of the service`, value: rss / 1e6, unit: 'MB' },
      { metric: `${of}: saturation`, value: median(counted.map(({ rate }) => rate)), unit: 'requests/s' },
      { metric: `${of}: p50 at half of it`, value: median(counted.map(({ half }) => half.p50)), unit: 'ms' },
      ...latencyRows(`${of}: p99 at half of it`, turns, { of: ({ half }) => half.p99, atMost: 15 }),
      bounded(
        `${of}: answers other than 200`,
        failed.reduce((a, b) => a + b, 0),
        'answers',
        ['<=', 0],
      ),
    ];
  } finally {
    await server.stop();
  }
}
