/**
 * What somebody does with the answers: looks over the slots, clicks by the click model, buys sooner or later; a crawler
 * follows links at random and never buys. Chance comes from streams of the session, so nothing depends on what others do.
 */
import type { AdsResponse } from '../shared/contract/query-route.ts';
import { departmentOf } from './departments.ts';
import type { Query } from './queries.ts';
import type { Random } from './random.ts';
import { RELEVANT } from './relevance.ts';
import type { Session, TrafficMarket } from './sessions.ts';
import { drawExtra, type TrueEffect, thinning } from './true-effect.ts';
import { clickProbability, conversionProbability, drawDelay, drawSale, type Person } from './users.ts';

/** A slot that is clicked, and what comes of it. */
export interface Click {
  readonly position: number;
  /** How often: impatient people click twice. */
  readonly times: number;
  readonly order?: { readonly valueMicros: number; readonly afterMs: number };
}

/** One search, and what its answer is met with. */
export interface Search {
  readonly text: string;
  react(answer: AdsResponse): readonly Click[];
  /** Whether an ad is what was searched for; unknown for logs of strangers. */
  isRelevant?(adId: string): boolean;
}

/** One after the other: the next search may depend on the answer to the one before (`undefined` when none came). */
export interface Visit {
  readonly atMs: number;
  readonly person: Person;
  /** Searches that are planned whatever the answers. */
  readonly planned: number;
  searches(): Generator<Search, void, AdsResponse | undefined>;
}

export interface VisitOptions {
  readonly market: TrafficMarket;
  /** The experiment by whose arm answers are told apart. */
  readonly experiment: string;
  readonly effect: TrueEffect;
}

const DOUBLE_CLICK = 0.02;
const FOLLOW_LINK = 0.2;

/** The arm of an experiment that an answer belongs to. */
export function armIn(answer: AdsResponse, experiment: string): string | undefined {
  return answer.assignments.find((assignment) => assignment.experiment === experiment)?.arm;
}

/** How a planned session goes. */
export function visitOf(session: Session, options: VisitOptions, random: Random): Visit {
  const { atMs, person, queries } = session;
  const { effect, experiment } = options;
  return {
    atMs,
    person,
    planned: queries.length,
    *searches() {
      for (const [i, query] of queries.entries()) {
        const own = random.fork(String(i));
        const answer = yield searchFor(query, session, { ...options, random: own });
        if (answer === undefined || person.kind !== 'person') continue;
        const again = drawExtra(effect.searches, armIn(answer, experiment) === effect.arm, own.fork('again'));
        for (let k = 0; k < again; k++) yield searchFor(query, session, { ...options, random: own.fork(`again/${k}`) });
      }
    },
  };
}

function searchFor(
  query: Query,
  { person }: Session,
  { market, effect, experiment, random }: VisitOptions & { random: Random },
): Search {
  const isRelevant = (adId: string) => market.grade(query, adId) >= RELEVANT;
  if (person.kind !== 'person')
    return {
      text: query.text,
      isRelevant,
      react: ({ slots }) =>
        slots.filter(() => random.chance(FOLLOW_LINK)).map(({ position }) => ({ position, times: 1 })),
    };
  const eagerness = 'eagerness' in person ? person.eagerness : 1;
  const { medianSale } = departmentOf(market.concepts.get(query.conceptId)!.department);
  return {
    text: query.text,
    isRelevant,
    react(answer) {
      const differs = armIn(answer, experiment) === effect.arm;
      return answer.slots.flatMap(({ position, adId }) => {
        const grade = market.grade(query, adId);
        const chance = random.fork(String(position));
        const clicks = clickProbability(grade, position, eagerness) * thinning(effect.clicks, differs);
        if (!chance.chance(clicks)) return [];
        const times = chance.chance(DOUBLE_CLICK) ? 2 : 1;
        const buys = conversionProbability(grade) * thinning(effect.conversions, differs);
        if (!chance.chance(buys)) return [{ position, times }];
        return [{ position, times, order: { valueMicros: drawSale(medianSale, chance), afterMs: drawDelay(chance) } }];
      });
    },
  };
}
