/** Ads <-> rows of the catalogue, and the reads that others build on. */
import { and, asc, count, eq, gt, isNull, notInArray, or, type SQL } from 'drizzle-orm';
import { type Ad, MOST_IN_BATCH } from '../../shared/contract/ads.ts';
import type { Database } from '../db/connect.ts';
import { ads, adVectors } from '../db/schema.ts';

type Row = typeof ads.$inferSelect;

/** A vector that came with an upload, in the space served. */
export interface StoredVector {
  /** [dimension] int8, or the bytes of [dimension] int16, little-endian. */
  vector: Int8Array;
  /** Digest of the text that was embedded; it belongs to the ad while the ad's text has the same (shared/ad-text). */
  textDigest: string;
}

/** One ad as a catalogue commit left it. */
export interface Change {
  id: string;
  revision: number;
  /** `undefined` when the ad was removed. */
  ad: Ad | undefined;
  stored: StoredVector | undefined;
}

function adOf(row: Row): Ad {
  return {
    id: row.id,
    advertiserId: row.advertiserId,
    campaignId: row.campaignId,
    title: row.title,
    description: row.description,
    displayUrl: row.displayUrl,
    landingUrl: row.landingUrl,
    keywords: row.keywords,
    markets: row.markets,
    bidMicros: row.bidMicros,
    dailyBudgetMicros: row.dailyBudgetMicros,
    status: row.status,
    ...(row.negatives === null ? {} : { negatives: row.negatives }),
    ...(row.languages === null ? {} : { languages: row.languages }),
    ...(row.devices === null ? {} : { devices: row.devices }),
    ...(row.policyFlags === null ? {} : { policyFlags: row.policyFlags }),
  };
}

export function rowOf(ad: Ad, revision: number): typeof ads.$inferInsert {
  const { id, advertiserId, campaignId, title, description, displayUrl, landingUrl } = ad;
  const { keywords, markets, bidMicros, dailyBudgetMicros, status } = ad;
  const text = { id, advertiserId, campaignId, title, description, displayUrl, landingUrl };
  const terms = { keywords, markets, bidMicros, dailyBudgetMicros, status };
  const { negatives = null, languages = null, devices = null, policyFlags = null } = ad;
  const few = { negatives, languages, devices, policyFlags };
  return { ...text, ...terms, ...few, revision, updatedAt: new Date(), deletedAt: null };
}

/** The ad, unless there is none or it was removed. */
export async function findAd(db: Database, id: string, lock = false): Promise<Ad | undefined> {
  const query = db
    .select()
    .from(ads)
    .where(and(eq(ads.id, id), isNull(ads.deletedAt)));
  const [row] = await (lock ? query.for('update') : query);
  return row === undefined ? undefined : adOf(row);
}

/** Ids of all ads that are not removed. */
export async function bookedIds(db: Database): Promise<Set<string>> {
  const found = await db.select({ id: ads.id }).from(ads).where(isNull(ads.deletedAt));
  return new Set(found.map(({ id }) => id));
}

/** Rows read at a time: one answer over the whole catalogue would be held several times over on its way. */
const PAGE = 2_000;

/** Commits after a revision that are bulk loads: of more ads than any other may have. */
export async function bulkCommitsSince(db: Database, revision: number): Promise<{ revision: number; ads: number }[]> {
  return db
    .select({ revision: ads.revision, ads: count() })
    .from(ads)
    .where(gt(ads.revision, revision))
    .groupBy(ads.revision)
    .having(gt(count(), MOST_IN_BATCH));
}

/**
 * What changed after a revision, in the order of the commits, but for the commits named; from 0 on, the whole catalogue. Removals
 * stay in the database for those who follow: with `alive`, who reads the whole does not read years of them.
 */
export async function changesSince(
  db: Database,
  revision: number,
  spaceId: string,
  { without = [], alive = false }: { without?: number[]; alive?: boolean } = {},
): Promise<Change[]> {
  const changes: Change[] = [];
  let later: SQL | undefined = gt(ads.revision, revision);
  for (;;) {
    const found = await db
      .select({ ad: ads, vector: adVectors.vector, textDigest: adVectors.textDigest })
      .from(ads)
      .leftJoin(adVectors, and(eq(adVectors.adId, ads.id), eq(adVectors.spaceId, spaceId)))
      .where(and(later, notInArray(ads.revision, without), alive ? isNull(ads.deletedAt) : undefined))
      .orderBy(asc(ads.revision), asc(ads.id))
      .limit(PAGE);
    for (const { ad, vector, textDigest } of found) {
      changes.push({
        id: ad.id,
        revision: ad.revision,
        ad: ad.deletedAt === null ? adOf(ad) : undefined,
        stored: vector === null || textDigest === null ? undefined : { vector, textDigest },
      });
    }
    if (found.length < PAGE) return changes;
    const { revision: at, id } = changes.at(-1)!;
    later = or(gt(ads.revision, at), and(eq(ads.revision, at), gt(ads.id, id)));
  }
}
