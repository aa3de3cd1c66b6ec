/** The log in three parts: phrasings are numbered, given a market and a frequency, and split without leaks. */
import type { Phrasing, Query } from './queries.ts';
import { drawMarket, zipfFrequency } from './queries.ts';
import type { Random } from './random.ts';
import type { Relevance } from './relevance.ts';
import { type HeldOut, phrasingKey, type Split, shuffleKeys } from './splits.ts';

export type QueryLog = Readonly<Record<Split, readonly Query[]>>;

const VALIDATION_KEYS = 3_000;
const TEST_KEYS = 3_000;
const EXTRAPOLATION_KEYS = 1_000;

/** Splits phrasings that come sorted by how often they are asked. */
export function splitQueries(
  options: { phrasings: readonly Phrasing[]; heldOut: HeldOut; relevance: Relevance; seed: number },
  random: Random,
): QueryLog {
  const { heldOut, relevance, seed } = options;
  const log: Record<Split, Query[]> = { train: [], validation: [], test: [] };
  const known: Phrasing[] = [];
  const unknown: Phrasing[] = [];
  for (const phrasing of options.phrasings) {
    if (heldOut.has(phrasing.conceptId)) unknown.push(phrasing);
    // Words of a held-out concept inside a phrasing of another one would give it away: that phrasing goes nowhere.
    else if (!heldOut.mentions(phrasing.text)) known.push(phrasing);
  }

  const keys = shuffleKeys(new Set(known.map(({ text }) => phrasingKey(text))), seed);
  const testKeys = new Set(keys.slice(0, TEST_KEYS));
  const validationKeys = new Set(keys.slice(TEST_KEYS, TEST_KEYS + VALIDATION_KEYS));
  const knownKeys = new Set(keys);
  const newKeys = new Set(unknown.map(({ text }) => phrasingKey(text)).filter((key) => !knownKeys.has(key)));
  const extrapolationKeys = new Set(shuffleKeys(newKeys, seed).slice(0, EXTRAPOLATION_KEYS));

  const add = (split: Split, phrasing: Phrasing, slice: Query['slice']) => {
    const market = drawMarket(phrasing.intent, relevance, random);
    log[split].push({ ...phrasing, id: '', market, frequency: 0, slice });
  };
  for (const phrasing of known) {
    const key = phrasingKey(phrasing.text);
    add(testKeys.has(key) ? 'test' : validationKeys.has(key) ? 'validation' : 'train', phrasing, 'interpolation');
  }
  for (const phrasing of unknown) {
    if (extrapolationKeys.has(phrasingKey(phrasing.text))) add('test', phrasing, 'extrapolation');
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
