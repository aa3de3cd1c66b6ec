/**
 * What people search, session by session: habits pick the department, Zipf's law the query, second thoughts rephrase it.
 * Sessions come at random (a Poisson process) at the rate of the hour, endlessly; crawlers come in between, if wanted.
 */
import { activityAt, BUSIEST } from './day-curve.ts';
import type { Market } from './market.ts';
import type { Query } from './queries.ts';
import type { Random } from './random.ts';
import type { Person, User } from './users.ts';

/** What traffic needs of a market. */
export type TrafficMarket = Pick<Market, 'queries' | 'concepts' | 'grade' | 'random'>;

/** Searches that one person, or one crawler, makes in a row. */
export interface Session {
  /** Simulated time of its start, UTC milliseconds. */
  readonly atMs: number;
  readonly person: User | Person;
  readonly queries: readonly Query[];
}

export interface SessionOptions {
  readonly market: TrafficMarket;
  readonly users: readonly User[];
  /** Simulated time of the first moment, UTC milliseconds. */
  readonly fromMs: number;
  readonly searchesADay: number;
  /** Shares of all searches that crawlers make: those that say so, and those that pass for people. */
  readonly crawlers?: number;
  readonly hiddenCrawlers?: number;
}

const DAY_MS = 86_400_000;
const LONGEST_SESSION = 8;
const GO_ON = 0.5;
/** Mean of the session's length: 1 + g + ... + g^7. */
const MEAN_SESSION = (1 - GO_ON ** LONGEST_SESSION) / (1 - GO_ON);
/** Searches of a crawler in one go. */
const CRAWL = [20, 60] as const;
const MEAN_CRAWL = (CRAWL[0] + CRAWL[1]) / 2;
/** Chance that a first search falls into the person's interests. */
const HABIT = 0.6;
/** Chance that a further search is another phrasing for the same thing; else it stays in the department, or wanders off. */
const REPHRASE = 0.35;
const STAY = 0.4;

/** The sessions from `fromMs` on, in order of time, endlessly; the same for the same stream. */
export function* sessionsFrom(options: SessionOptions, random: Random): Generator<Session, never> {
  const { users, fromMs, searchesADay, crawlers = 0, hiddenCrawlers = 0 } = options;
  const drawUser = sampler(users, ({ activity }) => activity);
  const queriesOf = wordsOf(options.market, random.fork('words'));
  const crawl = crawlsOf(options.market, random.fork('crawls'));
  const when = random.fork('when');
  // Of all sessions, so many that crawlers make their share of the searches.
  const crawlShare = crawlers + hiddenCrawlers;
  const crawlSessions = (crawlShare * MEAN_SESSION) / (crawlShare * MEAN_SESSION + (1 - crawlShare) * MEAN_CRAWL);
  const meanLength = (1 - crawlSessions) * MEAN_SESSION + crawlSessions * MEAN_CRAWL;
  const gapMs = (DAY_MS * meanLength) / searchesADay / BUSIEST;
  for (let atMs = fromMs; ; ) {
    // Thinning (Lewis and Shedler 1979): candidates at the rate of the busiest hour, of which others keep their share.
    atMs += -gapMs * Math.log(1 - when.next());
    const at = Math.floor(atMs);
    if (when.chance(crawlSessions)) {
      if (!when.chance(1 / BUSIEST)) continue;
      const hidden = when.next() * crawlShare < hiddenCrawlers;
      yield { atMs: at, ...crawl(hidden) };
      continue;
    }
    const user = drawUser(random);
    if (!when.chance(activityAt(user.market, at) / BUSIEST)) continue;
    yield { atMs: at, person: user, queries: queriesOf(user) };
  }
}

/** The first sessions, with `searches` searches in all. */
export function* takeSearches(sessions: Iterable<Session>, searches: number): Generator<Session, void> {
  let left = searches;
  for (const session of sessions) {
    yield { ...session, queries: session.queries.slice(0, left) };
    left -= session.queries.length;
    if (left <= 0) return;
  }
}

/** The sessions before an instant. */
export function* takeUntil(sessions: Iterable<Session>, untilMs: number): Generator<Session, void> {
  for (const session of sessions) {
    if (session.atMs >= untilMs) return;
    yield session;
  }
}

const logOf = ({ queries: { train, validation, test } }: TrafficMarket) => [...train, ...validation, ...test];

/** Draws what somebody searches in one go. */
function wordsOf(market: TrafficMarket, random: Random): (user: User) => Query[] {
  const log = logOf(market);
  const departmentOf = (query: Query) => market.concepts.get(query.conceptId)!.department;
  const drawFrom = {
    market: samplers(log, (query) => query.market),
    department: samplers(log, (query) => `${query.market} ${departmentOf(query)}`),
    concept: samplers(log, (query) => `${query.market} ${query.conceptId}`),
  };
  const next = (user: User, previous: Query | undefined): Query => {
    const anything = drawFrom.market.get(user.market);
    if (!anything) throw new RangeError(`expected queries for market ${user.market}, found none`);
    const point = random.next();
    let draw: ((random: Random) => Query) | undefined;
    if (previous === undefined) {
      if (point < HABIT) draw = drawFrom.department.get(`${user.market} ${random.pick(user.interests)}`);
    } else if (point < REPHRASE) draw = drawFrom.concept.get(`${user.market} ${previous.conceptId}`);
    else if (point < REPHRASE + STAY) draw = drawFrom.department.get(`${user.market} ${departmentOf(previous)}`);
    return (draw ?? anything)(random);
  };
  return (user) => {
    const queries: Query[] = [];
    do queries.push(next(user, queries.at(-1)));
    while (queries.length < LONGEST_SESSION && random.chance(GO_ON));
    return queries;
  };
}

/** Draws what a crawler reads in one go: the log at random, rare queries as often as common ones. */
function crawlsOf(market: TrafficMarket, random: Random): (hidden: boolean) => Pick<Session, 'person' | 'queries'> {
  const byMarket = [...Map.groupBy(logOf(market), (query) => query.market)];
  const programs = [1, 2, 3];
  return (hidden) => {
    const [where, queries] = random.pick(byMarket);
    const kind = hidden ? 'hidden crawler' : 'crawler';
    const id = `${kind.replace(' ', '-')}-${where}-${random.pick(programs)}`;
    const length = CRAWL[0] + random.int(CRAWL[1] - CRAWL[0] + 1);
    return {
      person: { id, kind, market: where, device: 'desktop' },
      queries: Array.from({ length }, () => random.pick(queries)),
    };
  };
}

function samplers(queries: readonly Query[], keyOf: (query: Query) => string): Map<string, (random: Random) => Query> {
  return new Map(
    [...Map.groupBy(queries, keyOf)].map(([key, group]) => [key, sampler(group, ({ frequency }) => frequency)]),
  );
}

/** Draws in proportion to weights, by binary search over their running sum. */
function sampler<T>(items: readonly T[], weightOf: (item: T) => number): (random: Random) => T {
  const sums = new Float64Array(items.length);
  let total = 0;
  for (const [i, item] of items.entries()) {
    total += weightOf(item);
    sums[i] = total;
  }
  return (random) => {
    const point = random.next() * total;
    let low = 0;
    let high = items.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! > point) high = middle;
      else low = middle + 1;
    }
    return items[low]!;
  };
}
