/**
 * The publication gate: a generation goes live only when its index finds what exact search finds, and its size is sane. A
 * larger index needs longer lists of candidates for the same recall, so the gate looks for the shortest that is long enough.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { requireSameSpace } from '../../shared/bundle.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { AnnIndex } from '../index/ann-index.ts';
import { scanInTurns } from '../index/exact.ts';
import type { VectorRows } from '../index/vector-rows.ts';
import type { LoadedGeneration } from './load.ts';

/** Lists grow until recall is `wanted`, a point above what is refused: the queries are a sample, and ads will come and go. */
export const GATE = { k: 10, minRecall: 0.95, wanted: 0.96, minSizeShare: 0.5 } as const;

/** Lengths of a list of candidates that are tried where the index's own is too short. */
const LISTS = [80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024];

export interface GateOptions {
  spaceId: string;
  /** Vectors of real queries, [dimension] float32 each. */
  queries: readonly Float32Array[];
  /** Ads of the live generation; 0 when there is none. */
  liveAds: number;
  /** Publishes however much smaller it is than the live one. */
  force?: boolean;
}

/** What the gate found. */
export interface Checked {
  /** Mean recall@10 in the market where it is least; `null` without queries or ads. */
  recall: number | null;
  /** The list of candidates that each market's index searches with from now on; none where search is exact. */
  expansionSearch: Record<string, number>;
  /** Markets whose index is exact here, so that their graphs were not measured. */
  scanned: string[];
}

/**
 * Lengthens the index's list of candidates as far as `wanted` asks for, and answers the mean recall@10 against exact search
 * over `members`. Ties count as found: a hit whose score reaches the exact tenth is as good as the tenth.
 */
export async function tuneIndex(
  index: AnnIndex,
  options: { rows: VectorRows; members: Uint32Array; queries: readonly Float32Array[] },
): Promise<number> {
  const { rows, members, queries } = options;
  const truth: { floor: number; count: number }[] = [];
  for (const query of queries) {
    const exact = await scanInTurns(rows, query, { k: GATE.k, members });
    truth.push({ floor: exact.at(-1)!.score - 1e-6, count: exact.length });
  }
  const measured = async () => {
    let sum = 0;
    for (const [i, query] of queries.entries()) {
      const { floor, count } = truth[i]!;
      sum += (await index.search(query, GATE.k)).filter(({ score }) => score >= floor).length / count;
      await nextTurn();
    }
    return sum / queries.length;
  };
  let recall = await measured();
  for (const length of LISTS) {
    if (index.expansionSearch === undefined || recall >= GATE.wanted) break;
    if (length <= index.expansionSearch) continue;
    index.expansionSearch = length;
    recall = await measured();
  }
  return recall;
}

/** What was found of a generation that may go live; throws `gate_failed` with the numbers, or `space_mismatch`, when it may not. */
export async function checkGeneration(generation: LoadedGeneration, options: GateOptions): Promise<Checked> {
  const { manifest, rows } = generation;
  requireSameSpace(
    { what: 'the encoder', spaceId: options.spaceId },
    { what: `generation ${manifest.number}`, spaceId: manifest.spaceId },
  );
  if (options.force !== true && manifest.ads < GATE.minSizeShare * options.liveAds) {
    throw new HarnessError(
      'gate_failed',
      `Generation ${manifest.number} has ${manifest.ads} ads, the live one ${options.liveAds}: expected at least ` +
        `${GATE.minSizeShare * 100} %; if that many ads are really gone, build with force: true.`,
    );
  }
  const { queries } = options;
  const checked: Checked = { recall: null, expansionSearch: {}, scanned: [] };
  if (queries.length === 0) return checked;
  for (const [market, members] of generation.members) {
    const index = generation.indices.get(market)!;
    const recall = await tuneIndex(index, { rows, members, queries });
    if (recall < GATE.minRecall) {
      throw new HarnessError(
        'gate_failed',
        `Generation ${manifest.number}, market ${market}, has recall@${GATE.k} ${recall.toFixed(4)} against exact search on ` +
          `${queries.length} queries: expected at least ${GATE.minRecall}.`,
      );
    }
    if (index.expansionSearch === undefined) checked.scanned.push(market);
    else checked.expansionSearch[market] = index.expansionSearch;
    checked.recall = Math.min(recall, checked.recall ?? 1);
  }
  return checked;
}
