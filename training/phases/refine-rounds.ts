/**
 * The order of refinement: intervals between two refreshes of what is known of the student, its negatives and its clusters, and in each the
 * rounds, one for each part of the pairs that it goes through.
 *
 * A refresh looks at the rows that the interval will train on, and at no others, part by part. So memory holds one
 * part, however many pairs there are, and mining costs the same per step, however often it is refreshed.
 */
import { HarnessError } from '../../shared/problem.ts';
import { seeded, shuffle } from '../data/seeded.ts';

/** Rows of a part, and when they are trained on. */
export interface Round {
  /** Updates before it. */
  readonly start: number;
  /** Updates after it. */
  readonly end: number;
  readonly epoch: number;
  /** Number of the part. */
  readonly part: number;
  /** Updates that this epoch has already made of the part. */
  readonly from: number;
}

export interface RoundOptions {
  /** Rows of each part. */
  readonly parts: readonly number[];
  readonly steps: number;
  /** Rows an update. */
  readonly rowsPerStep: number;
  /** Updates between refreshes; 0 for none. */
  readonly refreshEvery: number;
  readonly seed: number;
}

/**
 * Rounds up to the last step, [intervals][rounds], epoch after epoch, parts in random order. A new interval begins at every multiple of
 * `refreshEvery`. @throws HarnessError where no part holds the rows of an update.
 */
export function intervals({ parts, steps, rowsPerStep, refreshEvery, seed }: RoundOptions): Round[][] {
  const all: Round[][] = [];
  let start = 0;
  for (let epoch = 0; start < steps; epoch++) {
    const before = start;
    for (const part of shuffle([...parts.keys()], seeded(seed, 'refine parts', epoch))) {
      const inPart = Math.floor(parts[part]! / rowsPerStep);
      for (let from = 0; from < inPart && start < steps; ) {
        const refresh = refreshEvery === 0 ? Number.POSITIVE_INFINITY : refreshEvery - (start % refreshEvery);
        const count = Math.min(inPart - from, steps - start, refresh);
        if (start === 0 || start % refreshEvery === 0) all.push([]);
        all.at(-1)!.push({ start, end: start + count, epoch, part, from });
        from += count;
        start += count;
      }
    }
    if (start === before)
      throw new HarnessError(
        'configuration',
        `refinement: expected a part with the ${rowsPerStep} clicked queries of a step, the largest of ${parts.length} has ${Math.max(0, ...parts)}; ask for a smaller batch, or fewer data.parts.`,
      );
  }
  return all;
}

/** Rows of its part that a round trains on, in random order; the rounds of one epoch share none. */
export function rowsOf(
  { start, end, epoch, part, from }: Round,
  { parts, rowsPerStep, seed }: Pick<RoundOptions, 'parts' | 'rowsPerStep' | 'seed'>,
): number[] {
  const order = shuffle([...Array(parts[part]!).keys()], seeded(seed, 'refine rows', epoch, part));
  return order.slice(from * rowsPerStep, (from + end - start) * rowsPerStep);
}
