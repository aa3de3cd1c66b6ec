/**
 * Live traffic: people of the market search through a running edge, click by the click model and sometimes buy.
 */
import type { AdsResponse } from '../shared/contract/ads.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../shared/defaults.ts';
import { HarnessError } from '../shared/problem.ts';
import { DEPARTMENTS, departmentOf } from './departments.ts';
import { createMarket, MARKET_SEED } from './market.ts';
import type { Query } from './queries.ts';
import type { Random } from './random.ts';
import { RELEVANT } from './relevance.ts';
import { planSessions, type Session, type TrafficMarket } from './sessions.ts';
import { createTally, type Tally, type TrafficSummary } from './traffic-counts.ts';
import { clickProbability, conversionProbability, createUsers, drawSale, type User } from './users.ts';
import { Visitor } from './visitor.ts';

export { MARKET_SEED };

export interface TrafficOptions {
  /** Base URL of the edge. */
  readonly edge: string;
  /** Searches to make. */
  readonly queries: number;
  /** People who make them; by default one for eight searches. */
  readonly users?: number;
  /** Seed of people, sessions and clicks. */
  readonly seed?: number;
  /** Experiment whose arms the summary tells apart. */
  readonly experiment?: string;
  /** Sessions in flight. */
  readonly concurrency?: number;
  /** The market; made from `MARKET_SEED` when not given. */
  readonly market?: TrafficMarket;
  readonly fetch?: typeof fetch;
  /** Called after each search. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
  /** Called with each answer, for a reconciliation by id. */
  readonly onAnswer?: (answer: AdsResponse, query: Query) => void;
}

export const DEFAULT_EDGE = 'http://localhost:8787';
const SEARCHES_A_USER = 8;
export const DEFAULT_CONCURRENCY = 16;

/** Sends the traffic; throws `backend_unavailable` when nothing answers at the edge's URL to begin with. */
export async function runTraffic(options: TrafficOptions): Promise<TrafficSummary> {
  const { edge, queries: total, seed = 1, experiment = DEFAULT_EXPERIMENT } = options;
  const doFetch = options.fetch ?? fetch;
  await expectEdge(edge, doFetch);
  const market = options.market ?? createMarket({ seed: MARKET_SEED });
  const random = market.random(`traffic/${seed}`);
  const users = createUsers(
    {
      count: options.users ?? Math.max(1, Math.ceil(total / SEARCHES_A_USER)),
      markets: DEFAULT_CONFIG.markets,
      departments: DEPARTMENTS.map(({ key }) => key),
    },
    random.fork('users'),
  );
  const sessions = planSessions({ market, users, searches: total }, random.fork('sessions'));
  const tally = createTally(experiment);
  const visitors = new Map<string, Visitor>();
  let done = 0;
  const startedAt = performance.now();

  const play = async (session: Session, visitor: Visitor, chance: Random) => {
    for (const [i, query] of session.queries.entries()) {
      const { status, answer } = await visitor.search(query.text, session.user.market);
      if (answer) {
        options.onAnswer?.(answer, query);
        await react({ market, query, answer, user: session.user, visitor, tally }, chance.fork(String(i)));
      } else tally.refuse(status);
      done++;
      options.onProgress?.({ done, total });
    }
  };

  await inParallel(sessions, options.concurrency ?? DEFAULT_CONCURRENCY, async (session, i) => {
    let visitor = visitors.get(session.user.id);
    if (!visitor) {
      visitor = new Visitor({ edge, fetch: doFetch });
      visitors.set(session.user.id, visitor);
    }
    await play(session, visitor, random.fork(`session/${i}`));
  });
  return tally.summary({ requests: done, users: visitors.size, seconds: (performance.now() - startedAt) / 1_000 });
}

async function expectEdge(edge: string, doFetch: typeof fetch): Promise<void> {
  try {
    await (await doFetch(new URL('/healthz', edge))).body?.cancel();
  } catch (cause) {
    throw new HarnessError('backend_unavailable', `No edge answers at ${edge}: run \`npm start\` first.`, { cause });
  }
}

interface Reaction {
  readonly market: TrafficMarket;
  readonly query: Query;
  readonly answer: AdsResponse;
  readonly user: User;
  readonly visitor: Visitor;
  readonly tally: Tally;
}

/** Looks over the slots, clicks and buys. */
async function react({ market, query, answer, user, visitor, tally }: Reaction, random: Random): Promise<void> {
  const counts = tally.answered(answer);
  for (const { position, adId, clickUrl } of answer.slots) {
    const grade = market.grade(query, adId);
    counts.shown(grade >= RELEVANT);
    if (!random.chance(clickProbability(grade, position, user.eagerness))) continue;
    const clickId = await visitor.click(clickUrl);
    if (clickId === undefined) {
      tally.refuseClick();
      continue;
    }
    counts.clicked();
    if (!random.chance(conversionProbability(grade))) continue;
    const valueMicros = drawSale(departmentOf(market.concepts.get(query.conceptId)!.department).medianSale, random);
    const orderId = `order-${answer.requestId}-${position}`.slice(0, 64);
    if (await visitor.convert({ clickId, orderId, valueMicros })) counts.converted(valueMicros);
    else tally.refuseConversion();
  }
}

/** Runs a task an item, so many at once; items of one person wait for each other, since a person has one cookie jar. */
async function inParallel(
  sessions: readonly Session[],
  concurrency: number,
  task: (session: Session, index: number) => Promise<void>,
): Promise<void> {
  const lastOf = new Map<string, Promise<void>>();
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < sessions.length; i = next++) {
      const session = sessions[i]!;
      const earlier = lastOf.get(session.user.id);
      const turn = (earlier ?? Promise.resolve()).then(() => task(session, i));
      lastOf.set(session.user.id, turn);
      await turn;
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, concurrency) }, worker));
}
