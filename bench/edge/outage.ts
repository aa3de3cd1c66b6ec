/**
 * The backend killed under load, as abruptly as a machine dies: what visitors get meanwhile, and whether every
 * impression is a row afterwards. A real backend with its embedded database, the queue and its disk as `edge:serve` has
 * them.
 */
import { fork } from 'node:child_process';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createMarket, MARKET_SEED } from '../../marketplace/market.ts';
import { backendClient } from '../../scripts/backend-client.ts';
import { serveEdge } from '../../scripts/edge-serve.ts';
import { startService } from '../../scripts/service.ts';
import type { AdsResponse } from '../../shared/contract/query-route.ts';
import { MAX_RECONCILED_IDS } from '../../shared/contract/reconciliation.ts';
import { parseKeyRing } from '../../shared/signature.ts';
import { freePort } from '../../test/setup/free-port.ts';
import { bounded, type Row } from '../row.ts';
import { exchange, onSchedule } from './load.ts';
import { storedImpressions } from './stored.ts';

export interface OutageOptions {
  dir: string;
  keys: string;
  /** How long the backend is away. */
  outageSeconds: number;
  say: (line: string) => void;
}

interface Job {
  url: string;
  seconds: number;
  /** Asked for all the time. */
  head: string[];
  /** Each asked for once. */
  tail: string[];
}

interface Seen {
  statuses: Record<string, number>;
  rungs: Record<string, number>;
  ids: string[];
  head: Asked;
  tail: Asked;
}

interface Asked {
  asked: number;
  withAds: number;
}

/** Ten times what the edge's own index of head ads holds. */
const ADS = 20_000;
const ADS_A_CALL = 2_000;
const HEAD = 50;
/** Requests a second; four of five ask for the head. */
const RATE = 40;
const BEFORE_SECONDS = 5;
const AFTER_SECONDS = 10;
const DELIVERED_WITHIN_MS = 90_000;

const pause = (ms: number) => new Promise((next) => setTimeout(next, ms));

export async function outageRows({ dir, keys, outageSeconds, say }: OutageOptions): Promise<Row[]> {
  const [backendPort, edgePort] = [await freePort(), await freePort()];
  const dataDir = join(dir, 'backend');
  const start = () =>
    startService({
      name: 'backend',
      entry: fileURLToPath(new URL('../../scripts/backend-main.ts', import.meta.url)),
      env: {
        PORT: String(backendPort),
        HARNESS_DATA: dataDir,
        HARNESS_BUNDLE: fileURLToPath(new URL('../../models/default', import.meta.url)),
        HARNESS_KEYS: keys,
      },
      onLine: () => undefined,
    });
  let backend = await start();
  const call = backendClient(backend.url, parseKeyRing(keys));
  const ads = createMarket({ seed: MARKET_SEED }).ads.slice(0, ADS);
  for (let from = 0; from < ADS; from += ADS_A_CALL)
    await call('POST', '/v1/ads:batch', { ads: ads.slice(from, from + ADS_A_CALL) });
  await call('POST', '/v1/generations', { action: 'build' });
  const words = [...new Set(ads.flatMap(({ keywords }) => keywords.map(({ text }) => text)))];
  const head = words.slice(0, HEAD);
  const seconds = BEFORE_SECONDS + outageSeconds + AFTER_SECONDS;
  const tail = words.slice(HEAD, HEAD + RATE * seconds);

  const edge = await serveEdge({
    host: '127.0.0.1',
    port: edgePort,
    backendUrl: backend.url,
    keys,
    dataDir: join(dir, 'edge'),
    onLine: () => undefined,
  });
  try {
    // The head is what was asked for before.
    const warm = await drive({ url: edge.url, seconds: 0, head, tail: [] });
    say(`backend away for ${outageSeconds} s`);
    const driven = drive({ url: edge.url, seconds, head, tail });
    await pause(BEFORE_SECONDS * 1_000);
    process.kill(backend.pid, 'SIGKILL');
    await pause(outageSeconds * 1_000);
    backend = await start();
    const seen = await driven;

    const ids = [...warm.ids, ...seen.ids];
    const missing = async () => {
      let count = 0;
      for (let from = 0; from < ids.length; from += MAX_RECONCILED_IDS) {
        const part = ids.slice(from, from + MAX_RECONCILED_IDS);
        count += (await call<{ missing: string[] }>('POST', '/v1/events:reconcile', { ids: part })).missing.length;
      }
      return count;
    };
    const until = performance.now() + DELIVERED_WITHIN_MS;
    let lost = await missing();
    while (lost > 0 && performance.now() < until) {
      await pause(1_000);
      lost = await missing();
    }
    // What was delivered twice would be a row more than there are answers.
    await edge.stop();
    await backend.stop();
    const stored = await storedImpressions(dataDir);

    const answers = Object.values(seen.statuses).reduce((sum, count) => sum + count, 0);
    const said = `backend killed for ${outageSeconds} s`;
    return [
      bounded(`${said}: answers of 200`, (100 * (seen.statuses[200] ?? 0)) / answers, '%', ['>=', 100]),
      bounded(`${said}: head queries with ads`, (100 * seen.head.withAds) / seen.head.asked, '%', ['>=', 100]),
      {
        metric: `${said}: queries of the tail, each asked once, with ads`,
        value: (100 * seen.tail.withAds) / seen.tail.asked,
        unit: '%',
      },
      bounded(`${said}: events lost after recovery`, lost, 'events', ['<=', 0]),
      bounded(`${said}: events doubled after recovery`, stored - (ids.length - lost), 'events', ['<=', 0]),
      ...Object.entries(seen.rungs).map(([rung, count]) => ({
        metric: `${said}: answers from the rung ${rung}`,
        value: count,
        unit: 'answers',
      })),
    ];
  } finally {
    await edge.stop();
    await backend.stop();
  }
}

function drive(job: Job): Promise<Seen> {
  const child = fork(import.meta.filename, { execArgv: ['--disable-warning=ExperimentalWarning'] });
  return new Promise((resolve, reject) => {
    child.once('message', (seen) => resolve(seen as Seen));
    child.once('exit', (code) => reject(new Error(`the visitors ended with ${code} before they were done`)));
    child.send(job);
  });
}

async function work({ url, seconds, head, tail }: Job): Promise<Seen> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const none = { asked: 0, withAds: 0 };
  const seen: Seen = { statuses: {}, rungs: {}, ids: [], head: { ...none }, tail: { ...none } };
  const ask = async (query: string, isHead: boolean) => {
    const { status, body } = await exchange(url, agent, { path: `/v1/ads?q=${encodeURIComponent(query)}` });
    seen.statuses[status] = (seen.statuses[status] ?? 0) + 1;
    const answer = status === 200 ? (JSON.parse(body) as AdsResponse) : undefined;
    if (answer !== undefined) {
      seen.ids.push(answer.requestId);
      seen.rungs[answer.rung] = (seen.rungs[answer.rung] ?? 0) + 1;
    }
    const counted = isHead ? seen.head : seen.tail;
    counted.asked += 1;
    if ((answer?.slots.length ?? 0) > 0) counted.withAds += 1;
  };
  // Without a duration the head is asked for once, one after the other.
  if (seconds === 0) for (const query of head) await ask(query, true);
  await onSchedule({ rate: RATE, seconds }, (i) => {
    const isHead = i % 5 !== 0;
    return ask(isHead ? head[i % head.length]! : tail[i % tail.length]!, isHead);
  });
  agent.destroy();
  return seen;
}

if (process.argv[1] === import.meta.filename) {
  process.once('message', async (job: Job) => {
    const seen = await work(job);
    process.send!(seen, () => process.exit(0));
  });
  process.once('disconnect', () => process.exit(1));
}
