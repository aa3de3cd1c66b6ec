/**
 * Changes of the catalogue. Each call is one transaction; when it has committed, the live state follows before the caller
 * is answered, so that what was acknowledged holds: a paused ad is in no answer any more, a new one can be found.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { eq, sql } from 'drizzle-orm';
import { Ad, type AdBatchResult, type AdPatch, type AdUpload } from '../../shared/contract/ads.ts';
import { HarnessError, parse } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { raise } from '../db/counters.ts';
import { columnsOf, insertRecords } from '../db/recordset.ts';
import { ads, adVectors } from '../db/schema.ts';
import { requireStorable } from '../db/storable.ts';
import { killedAmong } from './kill-list.ts';
import { type Change, changesSince, findAd, rowOf } from './rows.ts';
import { readUpload, type ServedSpace, type Upload } from './upload.ts';

export interface CatalogueOptions {
  db: Database;
  space: ServedSpace;
  /** Brings the live state up to what was committed. */
  follow: (changes: readonly Change[]) => Promise<void>;
  /** Called after a commit that changed the kill list (and raised the configuration's version). */
  onKillListChange: () => Promise<void>;
}

export interface Catalogue {
  /** Creates or replaces an ad; throws `space_mismatch` for a vector of another space. */
  put(upload: AdUpload): Promise<Ad>;
  /** Creates or replaces many in one transaction; what is wrong is refused by index and holds up none of the others. */
  putMany(uploads: readonly unknown[]): Promise<AdBatchResult>;
  /** Throws `not_found`, and `bad_request` for what would not be valid. */
  patch(id: string, patch: AdPatch): Promise<Ad>;
  /** Throws `not_found`. */
  remove(id: string): Promise<void>;
}

/** Uploads read before others get a turn: some milliseconds. */
const TURN = 50;

export function createCatalogue({ db, space, follow, onKillListChange }: CatalogueOptions): Catalogue {
  /** Runs `write` as one commit over the ads of `ids`. */
  async function commit(
    ids: readonly string[],
    write: (tx: Database, revision: number) => Promise<void>,
  ): Promise<Change[]> {
    const { changes, killListChanged } = await db.transaction(async (tx) => {
      const revision = await raise(tx, 'catalogue'); // first: its lock puts the commits in order
      const before = await killedAmong(tx, ids);
      await write(tx, revision);
      const after = await killedAmong(tx, ids);
      const changed = before.size !== after.size || [...before].some((id) => !after.has(id));
      if (changed) await raise(tx, 'config');
      // What carries a later revision than the last commit is this commit.
      return { changes: await changesSince(tx, revision - 1, space.spaceId), killListChanged: changed };
    });
    await follow(changes);
    if (killListChanged) await onKillListChange();
    return changes;
  }

  async function writeUploads(uploads: readonly Upload[]): Promise<void> {
    await commit(
      uploads.map(({ ad }) => ad.id),
      async (tx, revision) => {
        const records = uploads.map(({ ad }) => rowOf(ad, revision));
        const columns = columnsOf(ads, records[0]!);
        await tx.execute(
          sql`${insertRecords(ads, records)} on conflict (id) do update
              set (${columns}) = (select ${columnsOf(ads, records[0]!, 'excluded')})`,
        );
        const vectors = uploads.flatMap(({ ad, stored }) =>
          stored === undefined ? [] : [{ adId: ad.id, spaceId: space.spaceId, ...stored }],
        );
        if (vectors.length > 0) {
          await tx.execute(
            sql`${insertRecords(adVectors, vectors)} on conflict (ad_id, space_id) do update
                set vector = excluded.vector, text_digest = excluded.text_digest`,
          );
        }
      },
    );
  }

  return {
    async put(upload) {
      const read = await readUpload(upload, space);
      await writeUploads([read]);
      return read.ad;
    },

    async putMany(uploads) {
      const accepted = new Map<string, Upload>();
      const rejected: AdBatchResult['rejected'] = [];
      for (const [index, value] of uploads.entries()) {
        if (index % TURN === TURN - 1) await nextTurn();
        try {
          const upload = await readUpload(value, space);
          if (accepted.has(upload.ad.id))
            throw new HarnessError('bad_request', 'ad.id: expected each id once, it came before in this batch');
          accepted.set(upload.ad.id, upload);
        } catch (error) {
          if (!(error instanceof HarnessError)) throw error;
          const id = (value as { id?: unknown } | null)?.id;
          rejected.push({ index, ...(typeof id === 'string' ? { id } : {}), reason: error.message });
        }
      }
      if (accepted.size > 0) await writeUploads([...accepted.values()]);
      return { accepted: accepted.size, rejected };
    },

    async patch(id, patch) {
      requireStorable(patch, 'ad');
      const changes = await commit([id], async (tx, revision) => {
        const present = await findAd(tx, id, true);
        if (present === undefined) throw notFound(id);
        const changed = Object.entries(patch).filter(([, value]) => value !== undefined);
        const ad = parse(Ad, { ...present, ...Object.fromEntries(changed) }, 'ad');
        await tx.update(ads).set(rowOf(ad, revision)).where(eq(ads.id, id));
      });
      return changes[0]!.ad!;
    },

    async remove(id) {
      await commit([id], async (tx, revision) => {
        if ((await findAd(tx, id, true)) === undefined) throw notFound(id);
        await tx.update(ads).set({ revision, deletedAt: new Date(), updatedAt: new Date() }).where(eq(ads.id, id));
        await tx.delete(adVectors).where(eq(adVectors.adId, id));
      });
    },
  };
}

const notFound = (id: string) => new HarnessError('not_found', `There is no ad "${id}".`);
