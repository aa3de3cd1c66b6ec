/** Slices of the test queries: what each query is counted under, by rules that look at the query alone and never at a ranking. */
import { adText } from '../../shared/ad-text.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import { terms } from '../../shared/coverage.ts';
import { normalize } from '../../shared/text.ts';
import type { JudgedQuery } from './market.ts';
import { RELEVANT } from './metrics.ts';

/** The ways in which queries are sliced; every query is in one slice of each. */
export const GROUPS = ['slice', 'kind', 'traffic', 'words', 'overlap'] as const;
export type SliceGroup = (typeof GROUPS)[number];

/** Names the slice of a query. */
export type SliceRule = (query: JudgedQuery) => string;

/** Below this many queries a slice says nothing: it is left out, and named. */
export const SMALLEST_SLICE = 20;

/** Share of the traffic that the head has, and head and torso together. */
const HEAD = 0.5;
const TORSO = 0.8;

/**
 * By traffic: a query is of the head where the queries asked more often than it have less than half of the traffic of
 * the split, of the torso where they have less than 80 %, and otherwise of the tail. Queries asked equally often are
 * together.
 */
export function byTraffic(queries: readonly JudgedQuery[]): SliceRule {
  const total = queries.reduce((sum, { frequency }) => sum + frequency, 0);
  const above = new Map<number, number>();
  let before = 0;
  for (const { frequency } of queries.toSorted((a, b) => b.frequency - a.frequency)) {
    if (!above.has(frequency)) above.set(frequency, before);
    before += frequency;
  }
  return ({ frequency }) => {
    const share = above.get(frequency)! / total;
    return share < HEAD ? 'head' : share < TORSO ? 'torso' : 'tail';
  };
}

/** By length in words of the normalized query. */
export const byWords: SliceRule = ({ normalized }) => {
  const count = normalized.split(' ').length;
  return count === 1 ? '1 word' : count === 2 ? '2 words' : '3+ words';
};

/** By shared words: 'none' where no relevant ad has an index term of the query (shared/coverage.ts), else 'some'. */
export function byOverlap(ads: readonly Ad[]): SliceRule {
  const textOf = new Map(ads.map((ad) => [ad.id, adText(ad)]));
  const known = new Map<string, ReadonlySet<string>>();
  const termsOf = (id: string) => {
    const found = known.get(id) ?? new Set(terms(normalize(textOf.get(id) ?? '')));
    known.set(id, found);
    return found;
  };
  return ({ normalized, judgements }) => {
    const asked = terms(normalized);
    for (const [id, grade] of judgements) {
      if (grade < RELEVANT) continue;
      const has = termsOf(id);
      if (asked.some((term) => has.has(term))) return 'some';
    }
    return 'none';
  };
}

/** `slice` and `kind` are the data's own words: interpolation or extrapolation; name, synonym, typo, ... */
export const sliceRules = (queries: readonly JudgedQuery[], ads: readonly Ad[]): Record<SliceGroup, SliceRule> => ({
  slice: ({ slice }) => slice,
  kind: ({ kind }) => kind,
  traffic: byTraffic(queries),
  words: byWords,
  overlap: byOverlap(ads),
});

/** Queries that are counted together. */
export interface QuerySlice {
  readonly group: SliceGroup;
  readonly name: string;
  /** Row numbers of the queries. */
  readonly rows: readonly number[];
}

/** The slices of all groups, in the groups' order, names sorted. */
export function sliceQueries(
  queries: readonly JudgedQuery[],
  rules: Readonly<Record<SliceGroup, SliceRule>>,
): QuerySlice[] {
  return GROUPS.flatMap((group) => {
    const rows = Map.groupBy(queries.keys(), (row) => rules[group](queries[row]!));
    return [...rows]
      .map(([name, members]) => ({ group, name, rows: members }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  });
}
