/**
 * From committed changes to the live state. Status, bids and markets hold at once; a new text gets its vector from the
 * ladder (generations/vectors.ts) first, and where that fails the ad is found by its words until the next generation.
 */
import pMap from 'p-map';
import { adText, adTextDigest } from '../../shared/ad-text.ts';
import type { Live } from '../generations/live.ts';
import type { AdVector, CatalogueAd, VectorLadder } from '../generations/vectors.ts';
import { inTurns } from '../in-turns.ts';
import type { Change } from './rows.ts';

export interface FollowOptions {
  live: Live;
  ladder: VectorLadder;
  /** A generation is being built: what changes now will be put on top of it. */
  isBuilding: () => boolean;
  /** Called when vectors could not be had; the changes are applied without. */
  onVectorsMissing: (error: unknown, ads: number) => void;
}

/** The ad for the ladder, with its uploaded vector while that is of the present text; `undefined` for a removed one. */
export async function catalogueAd({ ad, revision, stored }: Change): Promise<CatalogueAd | undefined> {
  if (ad === undefined) return undefined;
  const uploaded = stored !== undefined && stored.textDigest === (await adTextDigest(ad)) ? stored.vector : undefined;
  return { ad, revision, uploaded };
}

export function followInto(options: FollowOptions): (changes: readonly Change[]) => Promise<void> {
  const { live, ladder, isBuilding, onVectorsMissing } = options;
  return async (changes) => {
    const ads = await pMap(changes, catalogueAd, { concurrency: 64 });
    // Before the first generation nothing is searched: the build reads everything from the database.
    const searched = live.view !== undefined || isBuilding();
    const needy: CatalogueAd[] = [];
    // Nobody's pause waits for another's vector. In turns: a new ad's place among the nearest takes a millisecond to find, and a batch has thousands.
    await inTurns(changes, ({ id, revision }, i) => {
      const entry = ads[i];
      if (entry === undefined) live.applyDelete(id, revision);
      else if (searched && (entry.uploaded !== undefined || live.view?.textOf(id) !== adText(entry.ad)))
        needy.push(entry);
      else live.applyUpsert(entry.ad, revision);
    });
    const vectors = await ladder.resolve(needy).catch((error: unknown): AdVector[] => {
      onVectorsMissing(error, needy.length);
      return [];
    });
    await inTurns(needy, ({ ad, revision }, i) => live.applyUpsert(ad, revision, vectors[i]));
  };
}
