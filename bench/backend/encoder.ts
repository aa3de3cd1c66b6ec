/**
 * The encoder service under requests of one text: how much of the bare session's throughput it keeps, what a request waits,
 * and whether the event loop stays free. Load comes from another process; the bare session runs before and after, and the
 * ratio is of one turn. No text is in flight twice and the cache keeps nothing, so that everything is computed.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createMarket, MARKET_SEED } from '../../marketplace/market.ts';
import { createRandom } from '../../marketplace/random.ts';
import { startService } from '../../scripts/service.ts';
import { bounded, type Row } from '../row.ts';
import { bareThroughput } from './encoder-bare.ts';
import { applyEmbeddingLoad, type EmbeddingLoad } from './encoder-load.ts';
import { startEncoderPeer } from './encoder-peer.ts';
import { saturate } from './encoder-saturation.ts';
import { PRODUCTION_FLAGS } from './production-flags.ts';

const KEY = 'a-secret-of-this-measurement';
/** In flight at saturation: enough that the queue holds the next batch while one is computed and its answers travel. */
const SATURATION = 256;
/** The pool's default on a CPU. */
const TOKEN_BUDGET = 192;
/** Load before the clock runs: a server compiles what is run often, and until it has, half of what a request costs is that. */
const WARM_UP_SECONDS = 5;
/** p99 at which the service and the peer are compared. */
const P99_MS = 15;

export interface EncoderOptions {
  /** Seconds of each load. */
  seconds: number;
  /** Turns of bare session and service. */
  turns: number;
  say: (line: string) => void;
}

/** Distinct queries of the market's log, in a fixed random order. */
function queries(): string[] {
  const market = createMarket({ seed: MARKET_SEED });
  const distinct = [...new Set([...market.queries.train, ...market.queries.test].map(({ normalized }) => normalized))];
  return createRandom(1, 'bench-encoder').sample(distinct, Math.min(20_000, distinct.length));
}

export async function encoderRows({ seconds, turns, say }: EncoderOptions): Promise<Row[]> {
  const texts = queries();
  const workers = Math.min(4, Math.max(1, availableParallelism() - 1));
  const server = await startService({
    name: 'encoder service',
    entry: fileURLToPath(new URL('./encoder-server.ts', import.meta.url)),
    env: { HARNESS_API_KEYS: `bench:${KEY}`, HARNESS_ENCODER_WORKERS: String(workers) },
    flags: PRODUCTION_FLAGS,
    onLine: say,
  });
  let from = 0;
  const apply = async (
    load: Pick<EmbeddingLoad, 'connections' | 'seconds' | 'rate'>,
    url = server.url,
    path = '/v1/embeddings',
  ) => {
    const result = await applyEmbeddingLoad({ url, path, key: KEY, texts, from, ...load });
    from += result.answers;
    return result;
  };
  const rows: Row[] = [];
  try {
    say('warm-up');
    await apply({ connections: SATURATION, seconds: WARM_UP_SECONDS });
    const full = await saturate({
      url: server.url,
      workers,
      turns,
      say,
      load: (rate) => apply({ connections: SATURATION, seconds, ...(rate === undefined ? {} : { rate }) }),
      bare: (batch) => bareThroughput({ texts, batch, tokenBudget: TOKEN_BUDGET, seconds }, workers),
    });
    const { saturation } = full;
    let { failed } = full;
    rows.push(...full.rows);

    for (const connections of [1, 4, 16, 64]) {
      say(`${connections} in flight`);
      const { answers, seconds: spent, p50, p99, failed: bad } = await apply({ connections, seconds: seconds / 2 });
      failed += bad;
      rows.push(
        { metric: `encoder service: ${connections} in flight`, value: answers / spent, unit: 'requests/s' },
        {
          metric: `encoder service: ${connections} in flight, p50 / p99`,
          value: p99,
          unit: `ms p99, p50 ${p50.toFixed(2)}`,
        },
      );
    }
    const bareAt = (batch: number) =>
      bareThroughput({ texts, batch, tokenBudget: TOKEN_BUDGET, seconds: seconds / 2 }, 1);
    const [single, batched] = [await bareAt(1), await bareAt(64)].map(({ rate }) => rate) as [number, number];
    rows.push(
      bounded('batches of mixed lengths / one text at a time', batched / single, 'ratio of texts/s', ['>=', 1]),
      bounded('encoder service: answers other than 200', failed, 'answers', ['<=', 0]),
    );
    rows.push(...(await peerRows({ apply, seconds, saturation, own: server.url, say })));
    return rows;
  } finally {
    await server.stop();
  }
}

type Apply = (
  load: Pick<EmbeddingLoad, 'connections' | 'seconds' | 'rate'>,
  url?: string,
  path?: string,
) => Promise<{ answers: number; seconds: number; p99: number; failed: number }>;

/** The highest rate of a few, up to a server's saturation, at which nothing fails and p99 keeps within the bound. */
async function rateWithin(
  apply: Apply,
  { url, path, saturation, seconds }: { url: string; path: string; saturation: number; seconds: number },
): Promise<number> {
  let [good, bad] = [0, saturation];
  for (let step = 0; step < 5; step++) {
    const rate = (good + bad) / 2;
    const { p99, failed } = await apply({ connections: SATURATION, seconds, rate }, url, path);
    if (p99 <= P99_MS && failed === 0) good = rate;
    else bad = rate;
  }
  return good;
}

async function peerRows(options: {
  apply: Apply;
  seconds: number;
  saturation: number;
  own: string;
  say: (line: string) => void;
}): Promise<Row[]> {
  const { apply, seconds, saturation, own, say } = options;
  const peer = await startEncoderPeer(say);
  if ('missing' in peer)
    return [{ metric: 'encoder service / infinity-emb, same graph', value: 0, unit: `not run: ${peer.missing}` }];
  try {
    say(`${peer.name}: saturation`);
    await apply({ connections: SATURATION, seconds: WARM_UP_SECONDS }, peer.url, peer.path);
    const full = await apply({ connections: SATURATION, seconds }, peer.url, peer.path);
    const most = full.answers / full.seconds;
    say(`highest rates with p99 within ${P99_MS} ms`);
    const theirs = await rateWithin(apply, { url: peer.url, path: peer.path, saturation: most, seconds: seconds / 2 });
    const ours = await rateWithin(apply, { url: own, path: '/v1/embeddings', saturation, seconds: seconds / 2 });
    const at = `at p99 <= ${P99_MS} ms`;
    return [
      { metric: `${peer.name}, same graph: saturation`, value: most, unit: 'requests/s' },
      { metric: `${peer.name}, same graph: highest rate ${at}`, value: theirs, unit: 'requests/s' },
      { metric: `encoder service: highest rate ${at}`, value: ours, unit: 'requests/s' },
      // Where the peer keeps the bound at no rate, the machine is too busy for either to be judged.
      ...(theirs > 0 ? [bounded(`encoder service / ${peer.name} ${at}`, ours / theirs, 'ratio', ['>=', 1.5])] : []),
    ];
  } finally {
    peer.stop();
  }
}
