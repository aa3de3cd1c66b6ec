/**
 * Team-draft interleaving (Radlinski, Kurup and Joachims, CIKM 2008; Chapelle et al., TOIS 2012): two rankings take turns
 * to pick their best candidate that is not taken yet, a coin says who begins each round, and a later click counts for
 * the team that picked. Harness merges candidates *before* the auction and credits the clicks that were charged.
 *
 * A candidate that both rankings have enters with the mean of its two relevances, whoever picks it: otherwise a plan
 * would win slots, and credit, by rating the same ads higher.
 */
import { hash32 } from './experiment.ts';

export type Team = 0 | 1;

export interface Drafted<C> {
  candidate: C;
  /** Index of the ranking that picked it. */
  team: Team;
}

export interface InterleaveOptions {
  /** Candidates to pick in all. */
  length: number;
  /** Decides the coins: the same seed gives the same draft. */
  seed: string;
}

/** Merges two rankings, best first, each without repetitions; a team that has nothing left to pick passes. */
export function interleave<C extends { adId: string; relevance: number }>(
  rankings: readonly [readonly C[], readonly C[]],
  { length, seed }: InterleaveOptions,
): Drafted<C>[] {
  const byId = rankings.map((ranking) => new Map(ranking.map((candidate) => [candidate.adId, candidate])));
  const next = [0, 0];
  const picked = [0, 0];
  const taken = new Set<string>();
  const drafted: Drafted<C>[] = [];

  const upNext = (team: Team): C | undefined => {
    const ranking = rankings[team];
    while (next[team]! < ranking.length && taken.has(ranking[next[team]!]!.adId)) next[team]! += 1;
    return ranking[next[team]!];
  };

  while (drafted.length < length) {
    const coin = (hash32(`draft:${seed}:${picked[0]}`) >>> 31) as Team;
    const first: Team = picked[0] === picked[1] ? coin : picked[0]! < picked[1]! ? 0 : 1;
    const team = upNext(first) === undefined ? ((1 - first) as Team) : first;
    const own = upNext(team);
    if (own === undefined) break;
    const other = byId[1 - team]!.get(own.adId);
    const candidate = other === undefined ? own : { ...own, relevance: (own.relevance + other.relevance) / 2 };
    taken.add(own.adId);
    picked[team]! += 1;
    drafted.push({ candidate, team });
  }
  return drafted;
}
