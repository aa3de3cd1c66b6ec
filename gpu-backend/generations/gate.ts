/** The publication gate: a generation goes live only when its index finds what exact search finds, and its size is sane. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { requireSameSpace } from '../../shared/bundle.ts';
import { HarnessError } from '../../shared/problem.ts';
import { scan } from '../index/exact.ts';
import type { LoadedGeneration } from './load.ts';

export const GATE = { k: 10, minRecall: 0.95, minSizeShare: 0.5 } as const;

export interface GateOptions {
  spaceId: string;
  /** Vectors of real queries, [dimension] float32 each. */
  queries: readonly Float32Array[];
  /** Ads of the live generation; 0 when there is none. */
  liveAds: number;
  /** Publishes however much smaller it is than the live one. */
  force?: boolean;
}

/**
 * Mean recall@10 against exact search; each query is asked in one market, the markets in turn. Ties count as found:
 * a hit whose score reaches the exact tenth is as good as the tenth.
 */
export async function measureRecall(
  generation: Pick<LoadedGeneration, 'rows' | 'members' | 'indices'>,
  queries: readonly Float32Array[],
): Promise<number | null> {
  const markets = [...generation.members.keys()];
  if (markets.length === 0 || queries.length === 0) return null;
  let sum = 0;
  for (const [i, query] of queries.entries()) {
    const market = markets[i % markets.length]!;
    const members = generation.members.get(market)!;
    const exact = scan(generation.rows, query, { k: GATE.k, members });
    const floor = exact.at(-1)!.score - 1e-6;
    const found = await generation.indices.get(market)!.search(query, GATE.k);
    sum += found.filter(({ score }) => score >= floor).length / exact.length;
    await nextTurn();
  }
  return sum / queries.length;
}

/** Recall when the generation may go live; throws `gate_failed` with the numbers, or `space_mismatch`, when it may not. */
export async function checkGeneration(generation: LoadedGeneration, options: GateOptions): Promise<number | null> {
  const { manifest } = generation;
  requireSameSpace(
    { what: 'the encoder', spaceId: options.spaceId },
    { what: `generation ${manifest.number}`, spaceId: manifest.spaceId },
  );
  if (options.force !== true && manifest.ads < GATE.minSizeShare * options.liveAds) {
    throw new HarnessError(
      'gate_failed',
      `Generation ${manifest.number} has ${manifest.ads} ads, the live one ${options.liveAds}: expected at least ` +
        `${GATE.minSizeShare * 100} %; if that many ads are really gone, build with force.`,
    );
  }
  const recall = await measureRecall(generation, options.queries);
  if (recall !== null && recall < GATE.minRecall) {
    throw new HarnessError(
      'gate_failed',
      `Generation ${manifest.number} has recall@${GATE.k} ${recall.toFixed(4)} against exact search on ` +
        `${options.queries.length} queries: expected at least ${GATE.minRecall}.`,
    );
  }
  return recall;
}
