/**
 * When a generation is rebuilt without anybody asking: once too many ads came after its snapshot, too much of what is
 * searched belongs to ads that have gone, or an old one stands in for one that is damaged. It waits for a quiet spell,
 * so that a load of ads is built once and not in the middle, but not for ever; it leaves the machine to the queries for
 * as long as the last build took; and after a failure it waits longer each time.
 */

export interface RebuildBounds {
  /**
   * Share of the ads that came since, or of the searched slots whose ads have gone, from which a build is due; 0 for
   * never.
   */
  share: number;
  /** A build is not due for fewer ads than this. */
  minAds: number;
  /** No ad came or went for so long before a build. */
  quietMs: number;
  /** From when a build is due, the longest that it waits for quiet. */
  maxWaitMs: number;
}

export interface RebuildFacts {
  nowMs: number;
  /** Ads that are searched, and how many of them came after the snapshot. */
  ads: number;
  added: number;
  /** Places in the indices whose ads have gone or moved: searched, and passed over. */
  vacant: number;
  /** The live generation was brought back by a rollback: what it replaced must not come again by itself. */
  broughtBack: boolean;
  /** It was brought back by a start that found the one after it damaged. */
  standsIn: boolean;
  /** Since when a build is due; absent until {@link due} has said so. */
  dueSinceMs?: number | undefined;
  /** When an ad last came or went. */
  changedAtMs: number;
  /** The last build that this policy began: when it ended, how long it took, and how many in a row failed up to it. */
  last?: { endedAtMs: number; tookMs: number; failures: number } | undefined;
  /** When another publication last kept ours out. */
  keptOutAtMs?: number | undefined;
}

export type RebuildReason = 'added' | 'gone' | 'damaged';
export type RebuildDecision =
  | { do: 'build'; because: RebuildReason }
  | { do: 'wait'; because: 'fresh' | 'brought back' | 'ads are coming' | 'resting' | 'failed' | 'another publishes' };

/** The first pause after a failure, and the longest. */
const [BACKOFF_MS, MAX_BACKOFF_MS] = [60_000, 6 * 3_600_000];
/** From a publication that kept ours out to the next try: long enough to see here what it published. */
const ANOTHER_MS = 10_000;

/** Why a build is due; `undefined` while it is not. */
export function due(
  { ads, added, vacant, standsIn }: Pick<RebuildFacts, 'ads' | 'added' | 'vacant' | 'standsIn'>,
  { share, minAds }: Pick<RebuildBounds, 'share' | 'minAds'>,
): RebuildReason | undefined {
  if (share === 0 || ads === 0) return undefined;
  if (standsIn) return 'damaged';
  const many = (count: number, of: number) => count >= Math.max(1, minAds) && count >= share * of;
  if (many(added, ads)) return 'added';
  return many(vacant, ads + vacant) ? 'gone' : undefined;
}

/** From the end of the last build to the next: as long as it took, or after failures twice as long each time, up to a bound. */
export function restMs({ tookMs, failures }: { tookMs: number; failures: number }): number {
  if (failures === 0) return tookMs;
  return Math.max(tookMs, Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** (failures - 1)));
}

export function decide(facts: RebuildFacts, bounds: RebuildBounds): RebuildDecision {
  const { nowMs, last, changedAtMs, keptOutAtMs = Number.NEGATIVE_INFINITY, dueSinceMs = nowMs } = facts;
  const because = due(facts, bounds);
  if (because === undefined) return { do: 'wait', because: 'fresh' };
  if (facts.broughtBack) return { do: 'wait', because: 'brought back' };
  if (last !== undefined && nowMs < last.endedAtMs + restMs(last))
    return { do: 'wait', because: last.failures > 0 ? 'failed' : 'resting' };
  if (nowMs < keptOutAtMs + ANOTHER_MS) return { do: 'wait', because: 'another publishes' };
  const quiet = nowMs >= changedAtMs + bounds.quietMs;
  if (!quiet && nowMs < dueSinceMs + bounds.maxWaitMs) return { do: 'wait', because: 'ads are coming' };
  return { do: 'build', because };
}
