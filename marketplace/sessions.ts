/** What people search, session by session: habits pick the department, Zipf's law the query, second thoughts rephrase it. */
import type { Market } from './market.ts';
import type { Query } from './queries.ts';
import type { Random } from './random.ts';
import type { User } from './users.ts';

/** What traffic needs of a market. */
export type TrafficMarket = Pick<Market, 'queries' | 'concepts' | 'grade' | 'random'>;

/** Searches that one person makes in a row. */
export interface Session {
  readonly user: User;
  readonly queries: readonly Query[];
}

const LONGEST_SESSION = 8;
const GO_ON = 0.5;
/** Chance that a first search falls into the person's interests. */
const HABIT = 0.6;
/** Chance that a further search is another phrasing for the same thing; else it stays in the department, or wanders off. */
const REPHRASE = 0.35;
const STAY = 0.4;

/** Plans sessions with `searches` searches in all; deterministic for a stream. */
export function planSessions(
  options: { market: TrafficMarket; users: readonly User[]; searches: number },
  random: Random,
): Session[] {
  const { market, users, searches } = options;
  const log = [...market.queries.train, ...market.queries.validation, ...market.queries.test];
  const departmentOf = (query: Query) => market.concepts.get(query.conceptId)!.department;
  const drawFrom = {
    market: samplers(log, (query) => query.market),
    department: samplers(log, (query) => `${query.market} ${departmentOf(query)}`),
    concept: samplers(log, (query) => `${query.market} ${query.conceptId}`),
  };
  const drawUser = sampler(users, ({ activity }) => activity);

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

  const sessions: Session[] = [];
  for (let planned = 0; planned < searches; ) {
    const user = drawUser(random);
    const queries: Query[] = [];
    const longest = Math.min(LONGEST_SESSION, searches - planned);
    do queries.push(next(user, queries.at(-1)));
    while (queries.length < longest && random.chance(GO_ON));
    planned += queries.length;
    sessions.push({ user, queries });
  }
  return sessions;
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
