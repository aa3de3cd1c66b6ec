/**
 * What other backends on the same database did, brought into this one: changes of ads, campaigns, advertisers and policy, the
 * configuration, and the generation that one of them published. All three are told by counters, so a look costs one small query.
 */
import { inArray } from 'drizzle-orm';
import { loadTerms } from '../catalogue/accounts.ts';
import { type Change, changesSince } from '../catalogue/rows.ts';
import type { Terms } from '../catalogue/terms.ts';
import type { Database } from '../db/connect.ts';
import { counters } from '../db/schema.ts';
import type { Live } from '../generations/live.ts';
import type { Publication } from './publication.ts';
import type { ServingConfigSource } from './serving-config.ts';

export interface FollowerOptions {
  db: Database;
  spaceId: string;
  live: Live;
  terms: Terms;
  config: ServingConfigSource;
  publication: Pick<Publication, 'follow'>;
  /** Brings the live state up to what was committed (catalogue/follow.ts). */
  follow: (changes: readonly Change[]) => Promise<void>;
  /** The catalogue's counter before live state and terms were read as a whole. */
  revision: number;
  /** Epoch milliseconds. */
  now: () => number;
}

/** A generation that could not be taken over is not tried again at every look. */
const AGAIN_MS = 10_000;

/** The look, to be taken again and again; rejects with what the database or the new generation's loading throws. */
export function createFollower(options: FollowerOptions): () => Promise<void> {
  const { db, live, terms, config, publication, now } = options;
  let { revision } = options;
  let notBeforeMs = 0;
  return async () => {
    const found = await db
      .select()
      .from(counters)
      .where(inArray(counters.name, ['catalogue', 'config']));
    const reached = Object.fromEntries(found.map(({ name, value }) => [name, value]));
    if ((reached.config ?? 0) > config.current().version) await config.refresh();
    const catalogue = reached.catalogue ?? 0;
    if (catalogue > revision) {
      await loadTerms(db, terms, revision);
      const changes = await changesSince(db, revision, options.spaceId);
      // What this process did itself is there already.
      await options.follow(changes.filter((change) => change.revision > (live.view?.revisionOf(change.id) ?? -1)));
      // What was committed while this was read is read again: one of the two may have missed it.
      revision = catalogue;
    }
    const { generation } = config.current();
    if (generation === null || generation === live.view?.number || now() < notBeforeMs) return;
    notBeforeMs = now() + AGAIN_MS;
    await publication.follow(generation);
    notBeforeMs = 0;
  };
}
