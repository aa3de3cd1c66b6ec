/**
 * The encoder service with as much to do as it can take, in turns with the bare session: what it keeps of the session's
 * throughput, whether it still answers health checks, and whose processor time a request costs. The load generator, the
 * event loop and the session share the cores, so the ratio is also given on the processor time that the generator left.
 * Each turn ends with requests at fixed times, at a share of its own saturation: a shared machine may be slower a
 * minute later.
 */
import { availableParallelism } from 'node:os';
import { median } from 'simple-statistics';
import { bounded, type Row } from '../row.ts';
import { latencyRows, steadyTurns, watched } from '../standstill.ts';
import type { BareResult } from './encoder-bare.ts';
import type { EmbeddingLoadResult } from './encoder-load.ts';
import type { ThreadTimes } from './encoder-meter.ts';

/** Of its saturation, the load at fixed times. */
const OPEN = 0.7;

/** The histogram of the event loop's delays counts from timer to timer; this long is no delay. */
const SAMPLED_EVERY_MS = 10;

export interface SaturationOptions {
  url: string;
  workers: number;
  turns: number;
  /** Loads the service for a while: with so many requests a second, or as much as it takes. */
  load: (rate?: number) => Promise<EmbeddingLoadResult>;
  /** The bare session on batches of so many texts. */
  bare: (batch: number) => Promise<BareResult>;
  say: (line: string) => void;
}

interface Turn {
  service: number;
  bare: number;
  batch: number;
  lagMs: number;
  healthMs: number[];
  /** Of the machine, around the load at fixed times. */
  stoodMs: number;
  /** Milliseconds at fixed times: of requests, how late the load itself was, the event loop's delay. */
  open: Record<'p50' | 'p99' | 'lagP99' | 'loopMs', number>;
  /** The generator's part of all processor time that there was. */
  generatorShare: number;
  /** Microseconds of processor time a request. */
  spent: Record<'generator' | 'eventLoop' | 'session' | 'reading' | 'aroundSession' | 'collection', number>;
}

/** What `/metrics` says now; reading the delay of the event loop begins it anew. */
async function scrape(url: string) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const read = (name: string) => Number(new RegExp(`^harness_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  const times: ThreadTimes = {
    eventLoop: read('bench_cpu_eventLoop'),
    workers: read('bench_cpu_workers'),
    process: read('bench_cpu_process'),
  };
  return {
    encoded: read('encoder_encoded_total'),
    batches: read('encoder_batches_total'),
    lagMs: Math.max(0, 1_000 * read('nodejs_eventloop_lag_p99_seconds') - SAMPLED_EVERY_MS),
    times,
  };
}

/** Milliseconds that `/healthz` takes, asked again and again until `over` resolves; what is not 200 is infinitely late. */
async function askHealth(url: string, over: Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  let going = true;
  const end = () => {
    going = false;
  };
  over.then(end, end);
  while (going) {
    const began = performance.now();
    const { status } = await fetch(`${url}/healthz`);
    took.push(status === 200 ? performance.now() - began : Number.POSITIVE_INFINITY);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return took;
}

async function takeTurn({ url, load, bare }: SaturationOptions): Promise<Turn & { failed: number }> {
  const before = await scrape(url);
  const loading = load();
  const healthMs = await askHealth(url, loading);
  const full = await loading;
  const after = await scrape(url);
  const encoded = after.encoded - before.encoded;
  const batch = Math.max(1, Math.round(encoded / (after.batches - before.batches)));
  const alone = await bare(batch);
  const { result, stoodMs } = await watched(async () => {
    await scrape(url);
    const open = await load((OPEN * full.answers) / full.seconds);
    return { open, loopMs: (await scrape(url)).lagMs };
  });
  const { open, loopMs } = result;
  const each = (thread: keyof ThreadTimes) => (1e6 * (after.times[thread] - before.times[thread])) / encoded;
  const [session, reading] = [1e6 * alone.session, 1e6 * alone.reading];
  return {
    service: full.answers / full.seconds,
    bare: alone.rate,
    batch,
    lagMs: after.lagMs,
    healthMs,
    stoodMs,
    open: { p50: open.p50, p99: open.p99, lagP99: open.lagP99 ?? 0, loopMs },
    generatorShare: full.cpuSeconds / (full.seconds * availableParallelism()),
    spent: {
      generator: (1e6 * full.cpuSeconds) / full.answers,
      eventLoop: each('eventLoop'),
      session,
      reading,
      aroundSession: each('workers') - session - reading,
      collection: each('process') - each('eventLoop') - each('workers'),
    },
    failed: full.failed + open.failed,
  };
}

/** The rows, the service's requests a second at saturation, and how many were not answered with 200. */
export async function saturate(options: SaturationOptions): Promise<{
  rows: Row[];
  saturation: number;
  failed: number;
}> {
  options.say(`in turns: saturation, the bare session at the same batch, ${100 * OPEN} % of saturation`);
  const turns = await steadyTurns(options.turns, async (number) => {
    const turn = await takeTurn(options);
    const { service, open, stoodMs } = turn;
    const said = `${service.toFixed(0)} requests/s, p99 ${open.p99.toFixed(1)} ms; the machine stood still for ${stoodMs.toFixed(1)} ms`;
    options.say(`turn ${number}: ${said}`);
    return turn;
  });
  const { counted, all } = turns;
  const middle = (pick: (turn: Turn) => number) => median(counted.map(pick));
  const saturation = middle(({ service }) => service);
  const healthMs = all.flatMap((turn) => turn.healthMs);
  const spent = (whose: string, part: keyof Turn['spent']): Row => ({
    metric: `encoder service: processor time a request at saturation, ${whose}`,
    value: middle((turn) => turn.spent[part]),
    unit: 'us',
  });
  const at = `${100 * OPEN} % of saturation`;
  const rows: Row[] = [
    {
      metric: "encoder service: saturation, requests of one text, base64 as OpenAI's client asks",
      value: saturation,
      unit: `requests/s, ${options.workers} workers`,
    },
    {
      metric: 'bare session at the same batch',
      value: middle(({ bare }) => bare),
      unit: `texts/s, batch ${middle(({ batch }) => batch)}`,
    },
    bounded(
      'encoder service / bare session',
      middle(({ service, bare }) => service / bare),
      'ratio',
      ['>=', 0.9],
    ),
    {
      metric: 'encoder service / bare session on the processor time that the load generator left',
      value: middle(({ service, bare, generatorShare }) => service / (bare * (1 - generatorShare))),
      unit: `ratio, generator ${(100 * middle(({ generatorShare }) => generatorShare)).toFixed(1)} % of the cores`,
    },
    spent('load generator', 'generator'),
    spent('event loop (HTTP, JSON, queue)', 'eventLoop'),
    spent('session (of the bare one)', 'session'),
    spent('spelling and tokenizer (of the bare one)', 'reading'),
    spent('rest of the worker threads (tensors, messages, colder caches)', 'aroundSession'),
    spent('threads beside them (garbage collection, compilation)', 'collection'),
    { metric: 'encoder service: event-loop lag at saturation, p99', value: middle(({ lagMs }) => lagMs), unit: 'ms' },
    bounded(
      'encoder service: /healthz at saturation, slowest',
      healthMs.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...healthMs),
      `ms of ${healthMs.length} calls`,
      ['<=', 1_000],
    ),
    { metric: `encoder service: p50 at ${at}`, value: middle(({ open }) => open.p50), unit: 'ms' },
    ...latencyRows(`encoder service: p99 at ${at}`, turns, { of: ({ open }) => open.p99, atMost: 15 }),
    {
      metric: 'encoder service: lateness of the load itself at 70 %, p99 (within the p99 above)',
      value: middle(({ open }) => open.lagP99),
      unit: 'ms',
    },
    bounded(
      'encoder service: event-loop lag at 70 %, p99',
      middle(({ open }) => open.loopMs),
      'ms',
      ['<=', 5],
    ),
  ];
  return { rows, saturation, failed: all.reduce((sum, { failed }) => sum + failed, 0) };
}
