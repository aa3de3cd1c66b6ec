/** The log in three parts: phrasings are numbered, given a market and a frequency, and split without leaks. */
import type { Phrasing, Query } from './queries.ts';
import { drawMarket, zipfFrequency } from './queries.ts';
import type { Random } from './random.ts';
import type { Relevance } from './relevance.ts';
import { type HeldOut, type Split, shuffleKeys } from './splits.ts';

export type QueryLog = Readonly<Record<Split, readonly Query[]>>;

const VALIDATION_KEYS = 3_000;
const TEST_KEYS = 3_000;
const EXTRAPOLATION_KEYS = 1_000;
/** Plain names and plurals are few and matter most: they are drawn for evaluation so much more often than their share. */
const PLAIN_WEIGHT = 4;

/** Splits phrasings that come sorted by how often they are asked. */
export function splitQueries(
  options: { phrasings: readonly Phrasing[]; heldOut: HeldOut; relevance: Relevance; seed: number },
  random: Random,
): QueryLog {
  const { heldOut, relevance, seed } = options;
  const log: Record<Split, Query[]> = { train: [], validation: [], test: [] };
  // Words of a held-out concept inside a phrasing of another one would give it away: such a phrasing is left out.
  const usable = options.phrasings.filter(
    ({ conceptId, normalized }) => heldOut.has(conceptId) || !heldOut.mentions(normalized),
  );
  const keysWhere = (matches: (phrasing: Phrasing) => boolean) => new Set(usable.filter(matches).map(({ key }) => key));
  const plain = keysWhere(({ form }) => form === 'name' || form === 'synonym' || form === 'plural');
  const sample = (keys: ReadonlySet<string>) => shuffleKeys(keys, seed, (key) => (plain.has(key) ? PLAIN_WEIGHT : 1));
  const known = keysWhere(({ conceptId }) => !heldOut.has(conceptId));
  const unknown = keysWhere(({ conceptId }) => heldOut.has(conceptId)).difference(known);
  const keys = sample(known);
  const testKeys = new Set(keys.slice(0, TEST_KEYS));
  const validationKeys = new Set(keys.slice(TEST_KEYS, TEST_KEYS + VALIDATION_KEYS));
  const extrapolationKeys = new Set(sample(unknown).slice(0, EXTRAPOLATION_KEYS));

  const placeOf = ({ conceptId, key }: Phrasing): [Split, Query['slice']] | undefined => {
    if (heldOut.has(conceptId)) return extrapolationKeys.has(key) ? ['test', 'extrapolation'] : undefined;
    if (testKeys.has(key)) return ['test', 'interpolation'];
    return [validationKeys.has(key) ? 'validation' : 'train', 'interpolation'];
  };
  for (const phrasing of usable) {
    const place = placeOf(phrasing);
    if (!place) continue;
    const [split, slice] = place;
    const market = drawMarket(phrasing.intent, relevance, random);
    log[split].push({ ...phrasing, id: '', market, frequency: 0, slice });
  }
  return { train: number('tr', log.train), validation: number('va', log.validation), test: number('te', log.test) };
}

/** Each split is a log of its own: Zipf's law holds in each. */
function number(prefix: string, queries: readonly Query[]): Query[] {
  return queries.map((query, rank) => ({
    ...query,
    id: `${prefix}-${String(rank + 1).padStart(6, '0')}`,
    frequency: zipfFrequency(rank),
  }));
}
