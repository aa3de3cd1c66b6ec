/**
 * Seeded randomness: the only source of chance in the market. Streams are named, so that drawing more in one place changes
 * nothing in another. Generator: sfc32 of PractRand (Doty-Humphrey), seeded from a label by `hash32`.
 */
import { hash32 } from '../shared/experiment.ts';

/** A stream of random numbers; the same label and seed give the same stream on every machine. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, bound). */
  int(bound: number): number;
  chance(probability: number): boolean;
  /** Standard normal deviate (Box-Muller). */
  normal(): number;
  /** Log-normal deviate with the given median; `sigma` is the deviation of the logarithm. */
  logNormal(median: number, sigma: number): number;
  /** One item; throws on an empty list. */
  pick<T>(items: readonly T[]): T;
  /** One item with probability proportional to its weight. */
  weighted<T>(items: readonly T[], weight: (item: T) => number): T;
  /** A new list with `count` distinct items in random order. */
  sample<T>(items: readonly T[], count: number): T[];
  /** An independent stream. */
  fork(label: string): Random;
}

/** The stream of `label` under `seed`. */
export function createRandom(seed: number, label: string): Random {
  const name = `${seed}/${label}`;
  let a = hash32(`a:${name}`);
  let b = hash32(`b:${name}`);
  let c = hash32(`c:${name}`);
  let counter = 1;
  const next32 = () => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) next32();

  const random: Random = {
    next: () => next32() / 0x1_0000_0000,
    int: (bound) => Math.floor((next32() / 0x1_0000_0000) * bound),
    chance: (probability) => random.next() < probability,
    normal: () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next()),
    logNormal: (median, sigma) => median * Math.exp(sigma * random.normal()),
    pick: (items) => {
      if (items.length === 0) throw new RangeError('pick: expected at least one item, received none');
      return items[random.int(items.length)]!;
    },
    weighted: (items, weight) => {
      let total = 0;
      for (const item of items) total += weight(item);
      let point = random.next() * total;
      for (const item of items) {
        point -= weight(item);
        if (point < 0) return item;
      }
      return random.pick(items);
    },
    sample: (items, count) => {
      const pool = [...items];
      const size = Math.min(count, pool.length);
      for (let i = 0; i < size; i++) {
        const j = i + random.int(pool.length - i);
        [pool[i], pool[j]] = [pool[j]!, pool[i]!];
      }
      return pool.slice(0, size);
    },
    fork: (child) => createRandom(seed, `${label}/${child}`),
  };
  return random;
}
