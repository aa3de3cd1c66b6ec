/**
 * What other backends on the same database did, brought into this one: changes of ads, campaigns, advertisers and policy, the
 * configuration, and the generation that one of them published. All three are told by counters, so a look costs one small query.
 */
import { inArray } from 'drizzle-orm';
import { loadEligibility } from '../catalogue/accounts.ts';
import type { Eligibility } from '../catalogue/eligibility.ts';
import type { Follow } from '../catalogue/follow.ts';
import { bookedIds, bulkCommitsSince, changesSince } from '../catalogue/rows.ts';
import type { Database } from '../db/connect.ts';
import { reached } from '../db/counters.ts';
import { counters } from '../db/schema.ts';
import type { Live } from '../generations/live.ts';
import type { CatalogueAd } from '../generations/vectors.ts';
import type { Publication } from './publication.ts';
import type { ServingConfigSource } from './serving-config.ts';

export interface FollowerOptions {
  db: Database;
  spaceId: string;
  live: Live;
  eligibility: Eligibility;
  config: ServingConfigSource;
  publication: Pick<Publication, 'follow'>;
  /** Brings the live state up to what was committed (catalogue/follow.ts). */
  follow: Follow;
  /** The catalogue's counter before live state and eligibility were read as a whole. */
  revision: number;
  /** Milliseconds that no setting of the system's clock moves. */
  now: () => number;
}

/** A generation that could not be taken over is not tried again at every look. */
const AGAIN_MS = 10_000;

/**
 * Two looks, each to be taken again and again, beside the other: a pause waits neither for vectors nor for a generation. They
 * reject with what the database or the new generation's loading throws.
 */
export interface Follower {
  /** The configuration, and of the catalogue what needs no vector. */
  news(): Promise<void>;
  /** What takes longer: vectors of new texts, and a newer generation. */
  rest(): Promise<void>;
}

export function createFollower(options: FollowerOptions): Follower {
  const { db, live, eligibility, config, publication, follow, now } = options;
  let { revision } = options;
  let needy: CatalogueAd[] = [];
  /** The generation that was tried last and not taken over. */
  let failed: { generation: number; againAtMs: number } | undefined;
  /** A bulk load's ads are served with the next generation; those of its ads that hold no longer are on the kill list. */
  const changes = () =>
    db.transaction(
      async (tx) => {
        const bulk = await bulkCommitsSince(tx, revision);
        const without = bulk.map((commit) => commit.revision);
        const changed = await changesSince(tx, revision, options.spaceId, { without });
        // Who was away for as long as removed ads are kept (catalogue/purge.ts) finds no rows of those that went meanwhile.
        const purged = await reached(tx, 'purged');
        if (purged > revision) {
          const booked = await bookedIds(tx);
          for (const id of live.view?.ids() ?? [])
            if (!booked.has(id)) changed.push({ id, revision: purged, ad: undefined, stored: undefined });
        }
        return { bulk, changed };
      },
      { isolationLevel: 'repeatable read', accessMode: 'read only' },
    );
  const catchUp = async (catalogue: number) => {
    if (catalogue <= revision) return;
    await loadEligibility(db, eligibility, revision);
    const { bulk, changed } = await changes();
    for (const commit of bulk) live.leave(commit);
    // What this process did itself is there already.
    const others = changed.filter((change) => change.revision > (live.view?.revisionOf(change.id) ?? -1));
    needy = needy.concat(await follow.hold(others));
    // What was committed while this was read is read again: one of the two may have missed it.
    revision = catalogue;
  };
  return {
    async news() {
      const found = await db
        .select()
        .from(counters)
        .where(inArray(counters.name, ['catalogue', 'config']));
      const reached = Object.fromEntries(found.map(({ name, value }) => [name, value]));
      try {
        if ((reached.config ?? 0) > config.current().version) await config.refresh();
      } finally {
        // A pause holds even where a newer release wrote a configuration that this one cannot read.
        await catchUp(reached.catalogue ?? 0);
      }
    },
    async rest() {
      const waiting = needy;
      needy = [];
      await follow.bring(waiting);
      const { generation } = config.current();
      // Who came while another published may be ahead of what that one has written down yet.
      if (generation === null || generation <= (live.view?.number ?? 0)) return;
      if (generation === failed?.generation && now() < failed.againAtMs) return;
      failed = { generation, againAtMs: now() + AGAIN_MS };
      await publication.follow(generation);
      failed = undefined;
    },
  };
}
