/**
 * People to draw experiments from: uneven activity, taste and prices, a past that resembles the present, answers that are
 * slow for some. Whole numbers, so that the estimators' exact sums are exact here too; money in cents.
 */
import { createRandom, type Random } from '../../marketplace/random.ts';

export const COLUMNS = [
  'queries',
  'shown',
  'clicks',
  'revenue',
  'pastQueries',
  'pastShown',
  'pastClicks',
  'pastRevenue',
] as const;
export type Name = (typeof COLUMNS)[number];

export interface Population {
  size: number;
  /** A column's values by person. */
  values: Record<Name, Float64Array>;
  /** 0 to 3; activity differs between them. */
  market: Uint8Array;
  /** Answer times of each person, whole milliseconds. */
  latencies: Float64Array[];
}

/** Knuth's product of uniforms; for small means. */
function poisson(mean: number, random: Random): number {
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random.next(); product > limit; product *= random.next()) count++;
  return count;
}

export function createPopulation(size: number, seed: number): Population {
  const random = createRandom(seed, 'population');
  const values = Object.fromEntries(COLUMNS.map((name) => [name, new Float64Array(size)])) as Population['values'];
  const market = new Uint8Array(size);
  const latencies: Float64Array[] = [];
  for (let person = 0; person < size; person++) {
    market[person] = random.int(4);
    const activity = Math.min(60, random.logNormal(3 + 2 * market[person]!, 0.7));
    const taste = 0.02 + 0.2 * random.next() ** 2;
    const price = random.logNormal(60, 0.4);
    const slowness = random.logNormal(8, 0.5);
    for (const past of [true, false]) {
      const queries = 1 + poisson(activity, random);
      let [shown, clicks, revenue] = [0, 0, 0];
      for (let query = 0; query < queries; query++) {
        const ads = random.int(5);
        shown += ads;
        for (let ad = 0; ad < ads; ad++)
          if (random.chance(taste)) {
            clicks++;
            revenue += Math.round(random.logNormal(price, 0.5));
          }
      }
      const row = past
        ? { pastQueries: queries, pastShown: shown, pastClicks: clicks, pastRevenue: revenue }
        : { queries, shown, clicks, revenue };
      for (const [name, value] of Object.entries(row)) values[name as Name][person] = value;
      if (!past)
        latencies.push(
          Float64Array.from({ length: queries }, () => Math.round(1 + slowness * random.logNormal(1, 0.6))),
        );
    }
  }
  return { size, values, market, latencies };
}

/** The same people where one column has grown by a share of its total: given out one by one, so that it stays whole. */
export function grown(population: Population, name: Name, share: number, seed: number): Population {
  const random = createRandom(seed, `grown/${name}`);
  const column = population.values[name].slice();
  const total = column.reduce((sum, value) => sum + value, 0);
  const steps = Math.round(total * share);
  // by chance proportional to what is there already: a person who clicks more gains more
  const owners = new Uint32Array(20_000);
  let [person, reached] = [0, column[0]!];
  for (const at of owners.keys()) {
    while (reached <= (at / owners.length) * total && person < population.size - 1) reached += column[++person]!;
    owners[at] = person;
  }
  for (let step = 0; step < steps; step++) column[owners[random.int(owners.length)]!]! += 1;
  return { ...population, values: { ...population.values, [name]: column } };
}
