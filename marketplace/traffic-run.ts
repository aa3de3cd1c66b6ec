/** Live traffic: people of the market search through a running edge, click by the click model and sometimes buy. */
import { setImmediate } from 'node:timers/promises';
import type { AdsResponse } from '../shared/contract/query-route.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../shared/defaults.ts';
import { HarnessError } from '../shared/problem.ts';
import { DEPARTMENTS } from './departments.ts';
import { createMarket, MARKET_SEED } from './market.ts';
import { FLAT_OUT, type Pace, steady } from './pace.ts';
import { type SearchMet, sendTraffic } from './send-traffic.ts';
import { type SessionOptions, sessionsFrom, type TrafficMarket, takeSearches, takeUntil } from './sessions.ts';
import type { TrafficSummary } from './traffic-counts.ts';
import { NO_EFFECT, type TrueEffect } from './true-effect.ts';
import { createUsers } from './users.ts';
import { Visitor } from './visitor.ts';
import { type Visit, visitOf } from './visits.ts';

export interface TrafficOptions {
  /** Base URL of the edge. */
  readonly edge: string;
  /** Searches to make; `undefined` for as many as there is time for until the signal. */
  readonly queries: number | undefined;
  /** People who make them; by default one for eight searches. */
  readonly users?: number;
  /** Seed of people, sessions and clicks. */
  readonly seed?: number;
  /** Experiment whose arms the summary tells apart, and whose arm has the effect. */
  readonly experiment?: string;
  readonly effect?: TrueEffect;
  /** Shares of the searches that crawlers make: those that say so, and those that pass for people. */
  readonly crawlers?: number;
  readonly hiddenCrawlers?: number;
  /** Searches a second on average. */
  readonly rate?: number;
  /** Seconds that a simulated day lasts, 86,400 unless given. Without it and without a rate nothing waits for its hour. */
  readonly daySeconds?: number;
  /** Sent instead of the market's people. */
  readonly replay?: readonly Visit[];
  /** Sessions in flight. */
  readonly concurrency?: number;
  /** The market; made from `MARKET_SEED` when not given. */
  readonly market?: TrafficMarket;
  readonly fetch?: typeof fetch;
  /** Stops the traffic; what is in flight is finished. */
  readonly signal?: AbortSignal;
  /** UTC milliseconds of the start. */
  readonly nowMs?: number;
  /** Called after each search; `total` is `undefined` where there is no end. */
  readonly onProgress?: (progress: { done: number; total: number | undefined }) => void;
  /** Called with each answer and what it was met with. */
  readonly onAnswer?: (answer: AdsResponse, met: SearchMet) => void;
}

export const DEFAULT_EDGE = 'http://localhost:8787';
const SEARCHES_A_USER = 8;
/** People of traffic without an end. */
const ENDLESS_USERS = 5_000;
export const DEFAULT_CONCURRENCY = 16;
const DAY_SECONDS = 86_400;

/** Sends the traffic; throws `backend_unavailable` when nothing answers at the edge's URL to begin with. */
export async function runTraffic(options: TrafficOptions): Promise<TrafficSummary> {
  const { edge, experiment = DEFAULT_EXPERIMENT, signal, replay, onProgress, onAnswer } = options;
  const doFetch = options.fetch ?? fetch;
  await expectEdge(edge, doFetch);
  // Making a market takes seconds, in which the edge may hang up: that is heard before the connection is used again.
  const market = options.market ?? (replay === undefined ? createMarket({ seed: MARKET_SEED }) : undefined);
  await setImmediate();
  const { nowMs = Date.now() } = options;
  const visits =
    replay ??
    visitsOf(
      { ...options, ...(market && { market }), experiment },
      { fromMs: nowMs, searchesADay: searchesADay(options) },
    );
  const total = replay?.length ?? options.queries;
  return sendTraffic({
    visits,
    connect: (person) => new Visitor({ edge, fetch: doFetch, person }),
    experiment,
    concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
    pace: paceOf(options, replay?.[0]?.atMs ?? nowMs),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress: (done) => onProgress({ done, total }) }),
    ...(onAnswer === undefined ? {} : { onAnswer }),
  });
}

/** At a rate, a day holds what its seconds hold; without one, it holds all there is. */
function searchesADay({ queries, rate, daySeconds = DAY_SECONDS }: TrafficOptions): number {
  return rate === undefined ? (queries ?? DAY_SECONDS) : rate * daySeconds;
}

function paceOf({ rate, daySeconds, signal }: TrafficOptions, fromMs: number): Pace {
  if (rate === undefined && daySeconds === undefined) return FLAT_OUT;
  return steady({
    fromMs,
    speed: DAY_SECONDS / (daySeconds ?? DAY_SECONDS),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** What the market's people do, deterministic for a seed: so many searches, up to an instant, or without an end. */
export function* visitsOf(
  options: Pick<TrafficOptions, 'queries' | 'users' | 'seed' | 'market' | 'effect'> &
    Pick<SessionOptions, 'crawlers' | 'hiddenCrawlers'> & { experiment: string },
  { fromMs, untilMs, searchesADay }: { fromMs: number; untilMs?: number; searchesADay: number },
): Generator<Visit, void> {
  const { queries, seed = 1, effect = NO_EFFECT, experiment, crawlers = 0, hiddenCrawlers = 0 } = options;
  const market = options.market ?? createMarket({ seed: MARKET_SEED });
  const random = market.random(`traffic/${seed}`);
  const users = createUsers(
    {
      count:
        options.users ?? (queries === undefined ? ENDLESS_USERS : Math.max(1, Math.ceil(queries / SEARCHES_A_USER))),
      markets: DEFAULT_CONFIG.markets,
      departments: DEPARTMENTS.map(({ key }) => key),
    },
    random.fork('users'),
  );
  const endless = sessionsFrom(
    { market, users, fromMs, searchesADay, crawlers, hiddenCrawlers },
    random.fork('sessions'),
  );
  const limited = untilMs !== undefined ? takeUntil(endless, untilMs) : queries && takeSearches(endless, queries);
  let i = 0;
  for (const session of limited || endless)
    yield visitOf(session, { market, experiment, effect }, random.fork(`session/${i++}`));
}

async function expectEdge(edge: string, doFetch: typeof fetch): Promise<void> {
  try {
    await (await doFetch(new URL('/healthz', edge))).body?.cancel();
  } catch (cause) {
    throw new HarnessError('backend_unavailable', `No edge answers at ${edge}: run \`npm start\` first.`, { cause });
  }
}
