/**
 * A small market with budgets, for designs whose truth must be known: users search, a plan finds some of the campaigns, the
 * auction ranks, people click by the market's click model, and a click is paid from the campaign's purse. Control finds part of
 * what treatment finds. Because campaigns pay for both arms' clicks from one purse, users of one arm are not independent of
 * those of the other, and an ordinary split is wrong about what a launch would bring.
 */
import { createRandom } from '../marketplace/random.ts';
import type { Grade } from '../marketplace/relevance.ts';
import { clickProbability } from '../marketplace/users.ts';
import { type AuctionSlot, auction, type Bidder } from '../shared/auction.ts';
import type { Side } from '../shared/switchback.ts';

export interface MarketOptions {
  seed: number;
  campaigns: number;
  /** Money in a campaign's purse at the start, and the most that it holds. */
  purseMicros: number;
  /** Money that comes into each purse while time passes; 0 for a day's budget. */
  refillMicrosPerMs: number;
}

const HOUR_MS = 3_600_000;
/**
 * Purses refill within half an hour when nobody draws on them; for about twice that, an arm finds what the other has
 * left over.
 */
export const RECOVERING: MarketOptions = {
  seed: 2,
  campaigns: 40,
  purseMicros: 600_000,
  refillMicrosPerMs: 600_000 / (HOUR_MS / 2),
};

export interface TrafficOptions {
  /** Seed of users, queries and clicks. */
  seed: number;
  users: number;
  queries: number;
  /** Queries come evenly over this time. */
  durationMs: number;
  /** Whose plan answers a user's query. */
  sideOf: (userId: string, atMs: number) => Side;
  /** Whose purse pays; all from one unless given. */
  purseOf?: (side: Side) => { name: string; share: number };
}

/** A paid click. */
export interface Charge {
  atMs: number;
  userId: string;
  side: Side;
  campaign: number;
  micros: number;
}

const TOPICS_OF = 5;
const SLOTS = 3;
/** Of the relevant campaigns, the share that control's plan finds. */
const FOUND_BY_CONTROL = 0.55;

interface Candidate extends Bidder {
  campaign: number;
  grade: Grade;
}

interface Campaign {
  topic: number;
  bidMicros: number;
  foundByControl: boolean;
}

/** The campaigns, and a function that sends traffic through them and returns what was paid. */
export function createInterferenceMarket(options: MarketOptions) {
  const { seed, purseMicros, refillMicrosPerMs } = options;
  const random = createRandom(seed, 'interference');
  const topics = Math.max(1, Math.round(options.campaigns / TOPICS_OF));
  const campaigns = Array.from(
    { length: options.campaigns },
    (_, i): Campaign => ({
      topic: i % topics,
      bidMicros: Math.round(random.logNormal(400_000, 0.4)),
      foundByControl: random.chance(FOUND_BY_CONTROL),
    }),
  );

  /** What each side's plan finds, by topic. */
  const found = ([0, 1] as const).map((side) =>
    Array.from({ length: topics }, (_, topic) =>
      campaigns.flatMap(({ topic: own, bidMicros, foundByControl }, campaign): Candidate[] => {
        const grade: Grade = own === topic ? 3 : own === (topic + 1) % topics ? 1 : 0;
        if (grade === 0 || (side === 0 && !foundByControl)) return [];
        const id = `campaign-${campaign}`;
        return [{ adId: id, advertiserId: id, bidMicros, relevance: grade === 3 ? 0.9 : 0.4, campaign, grade }];
      }),
    ),
  ) as [Candidate[][], Candidate[][]];

  function run({ seed: traffic, users, queries, durationMs, sideOf, purseOf }: TrafficOptions): Charge[] {
    const chance = createRandom(seed, `traffic/${traffic}`);
    const purses = new Map<string, { left: number; atMs: number }>();
    const charges: Charge[] = [];
    for (let i = 0; i < queries; i++) {
      const atMs = Math.floor((i * durationMs) / queries);
      const userId = `user-${traffic}-${chance.int(users)}`;
      const topic = chance.int(topics);
      const side = sideOf(userId, atMs);
      const { name, share } = purseOf?.(side) ?? { name: 'all', share: 1 };
      const purse = (campaign: number) => {
        const key = `${name}/${campaign}`;
        const held = purses.get(key) ?? { left: purseMicros * share, atMs: 0 };
        held.left = Math.min(purseMicros * share, held.left + refillMicrosPerMs * share * (atMs - held.atMs));
        held.atMs = atMs;
        purses.set(key, held);
        return held;
      };
      for (const { position, priceMicros, candidate } of pageOf(topic, side, purse)) {
        if (!chance.chance(clickProbability(candidate.grade, position))) continue;
        const held = purse(candidate.campaign);
        // The last click is paid with what is left, so that half a purse buys half as much as a whole one.
        const micros = Math.min(priceMicros, Math.floor(held.left));
        held.left -= micros;
        charges.push({ atMs, userId, side, campaign: candidate.campaign, micros });
      }
    }
    return charges;
  }

  function pageOf(topic: number, side: Side, purse: (campaign: number) => { left: number }): AuctionSlot<Candidate>[] {
    const candidates = found[side][topic]!.filter(({ campaign }) => purse(campaign).left >= 1);
    return auction(candidates, { reserveMicros: 20_000, qualityExponent: 2, slots: SLOTS });
  }

  return { campaigns: campaigns.length, run };
}
