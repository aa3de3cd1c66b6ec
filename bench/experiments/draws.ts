/** Arms drawn from a population, as sums over units: one by one, or as counts of each person where arms are huge. */
import type { Moments, Quantity } from '../../gpu-backend/experiments/estimators/quantity.ts';
import type { Random } from '../../marketplace/random.ts';
import type { Name, Population } from './population.ts';

/** Sums of columns and of their products, to which units can be added. */
export class Sums implements Moments<Name> {
  units = 0;
  readonly #names: readonly Name[];
  readonly #columns: readonly Float64Array[];
  readonly #sums: Float64Array;
  readonly #products: Float64Array;

  constructor({ values }: Population, names: readonly Name[]) {
    this.#names = names;
    this.#columns = names.map((name) => values[name]);
    this.#sums = new Float64Array(names.length);
    this.#products = new Float64Array(names.length ** 2);
  }

  /** Adds a person so many times; `limit` caps the first column. */
  add(person: number, times = 1, limit = Number.POSITIVE_INFINITY): void {
    const count = this.#columns.length;
    this.units += times;
    for (let i = 0; i < count; i++) {
      const a = i === 0 ? Math.min(limit, this.#columns[0]![person]!) : this.#columns[i]![person]!;
      this.#sums[i]! += times * a;
      for (let j = i; j < count; j++)
        this.#products[i * count + j]! += times * a * (j === 0 ? a : this.#columns[j]![person]!);
    }
  }

  sum(name: Name): bigint {
    return BigInt(this.#sums[this.#names.indexOf(name)]!);
  }

  product(a: Name, b: Name): bigint {
    const [i, j] = [this.#names.indexOf(a), this.#names.indexOf(b)];
    return BigInt(this.#products[Math.min(i, j) * this.#names.length + Math.max(i, j)]!);
  }
}

/** The columns that a quantity and its covariate are made of. */
export function namesOf(...quantities: readonly Quantity<Name>[]): Name[] {
  return [...new Set(quantities.flatMap(({ numerator, denominator = numerator }) => [numerator, denominator]))];
}

/** People drawn with replacement. */
export function drawPeople(population: Population, units: number, random: Random): number[] {
  return Array.from({ length: units }, () => random.int(population.size));
}

/**
 * An arm of about so many units: each person a Poisson number of times, drawn as the rounded normal that it is at such
 * means; whoever arrives at an experiment of fixed length is as random in number.
 */
export function drawHuge(population: Population, names: readonly Name[], units: number, random: Random): Sums {
  const mean = units / population.size;
  const sums = new Sums(population, names);
  for (let person = 0; person < population.size; person++)
    sums.add(person, Math.max(0, Math.round(mean + Math.sqrt(mean) * random.normal())));
  return sums;
}
