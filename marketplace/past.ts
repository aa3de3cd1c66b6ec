/**
 * Traffic of past days, made up in seconds: the same people as live traffic, through a simulated edge, as events that a
 * backend takes in. It runs in an A/A experiment of its own, so that it mixes with nobody's numbers.
 */
import type { HarnessEvent } from '../shared/contract/events.ts';
import { DEFAULT_CONFIG } from '../shared/defaults.ts';
import type { Experiment } from '../shared/experiment.ts';
import { createMarket, MARKET_SEED } from './market.ts';
import { sendTraffic } from './send-traffic.ts';
import type { TrafficMarket } from './sessions.ts';
import { type SimulatedEdgeOptions, simulateEdge } from './simulated-edge.ts';
import type { TrafficSummary } from './traffic-counts.ts';
import { type TrafficOptions, visitsOf } from './traffic-run.ts';

/** Two arms that are served alike. */
export const A_A: Experiment = {
  key: 'a-a',
  layer: 'a-a',
  description: 'Two arms that are served alike: what differs is chance, or an effect that the traffic was sent with.',
  status: 'running',
  buckets: [0, 10_000],
  control: 'control',
  arms: [
    { key: 'control', weight: 1, parameters: {} },
    { key: 'treatment', weight: 1, parameters: {} },
  ],
};

export interface PastOptions
  extends Pick<
    TrafficOptions,
    'queries' | 'users' | 'seed' | 'effect' | 'crawlers' | 'hiddenCrawlers' | 'signal' | 'onProgress' | 'onAnswer'
  > {
  /** Searches to make, about. */
  readonly queries: number;
  readonly days: number;
  /** UTC milliseconds before which the last visit begins; later purchases are not known yet. */
  readonly untilMs: number;
  readonly experiment?: Experiment;
  /** Factor on the daily budgets of the ads; small ones run out. */
  readonly budgets?: number;
  readonly market?: TrafficMarket & SimulatedEdgeOptions['market'];
  /** Takes the events; waited for, so that a slow taker slows the traffic. */
  readonly store: (events: readonly HarnessEvent[]) => Promise<void>;
}

export interface PastSummary extends TrafficSummary {
  readonly events: number;
  /** Budgets of a day that ran out. */
  readonly exhaustedBudgets: number;
}

const BATCH = 1_000;
const DAY_MS = 86_400_000;

/** Makes the days and stores their events; the same events for the same options. */
export async function simulatePast(options: PastOptions): Promise<PastSummary> {
  const { queries, days, untilMs, experiment = A_A, budgets = 1, store, onProgress, onAnswer, signal } = options;
  const market = options.market ?? createMarket({ seed: MARKET_SEED });
  let batch: HarnessEvent[] = [];
  let events = 0;
  const flush = async () => {
    for (let at = 0; at < batch.length; at += BATCH) await store(batch.slice(at, at + BATCH));
    events += batch.length;
    batch = [];
  };
  const edge = simulateEdge({
    market,
    config: { ...DEFAULT_CONFIG, experiments: [experiment] },
    name: `past-${options.seed ?? 1}-${untilMs.toString(36)}`,
    budgets,
    emit: (event) => batch.push(event),
  });
  const summary = await sendTraffic({
    visits: visitsOf(
      { ...options, market, experiment: experiment.key },
      { fromMs: untilMs - days * DAY_MS, untilMs, searchesADay: queries / days },
    ),
    untilMs,
    connect: edge.connect,
    experiment: experiment.key,
    concurrency: 1,
    pace: { until: async () => (batch.length < BATCH ? undefined : flush()) },
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress: (done) => onProgress({ done, total: queries }) }),
    ...(onAnswer === undefined ? {} : { onAnswer }),
  });
  await flush();
  return { ...summary, events, exhaustedBudgets: edge.exhausted() };
}
