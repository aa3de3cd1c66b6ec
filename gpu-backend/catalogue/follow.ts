/**
 * From committed changes to the live state. Status, bids and markets hold at once; a new text gets its vector from the
 * ladder (generations/vectors.ts) first, and where that fails the ad is found by its words until the next generation.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
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
  /** Called when vectors could not be made; the changes are applied without. */
  onVectorsMissing: (error: unknown, ads: number) => void;
}

/** Changes looked at together: half a millisecond. */
const TURN = 64;

/** The ads for the ladder, in the order of the changes, with others running in between; `undefined` for removed ones. */
export async function catalogueAds(changes: readonly Change[]): Promise<(CatalogueAd | undefined)[]> {
  const ads: (CatalogueAd | undefined)[] = [];
  for (let from = 0; from < changes.length; from += TURN) {
    if (from > 0) await nextTurn(); // where no ad has a vector, nothing else would wait
    ads.push(...(await Promise.all(changes.slice(from, from + TURN).map(catalogueAd))));
  }
  return ads;
}

/** With its uploaded vector while that is of the present text. */
async function catalogueAd({ ad, revision, stored }: Change): Promise<CatalogueAd | undefined> {
  if (ad === undefined) return undefined;
  const uploaded = stored !== undefined && stored.textDigest === (await adTextDigest(ad)) ? stored.vector : undefined;
  return { ad, revision, uploaded };
}

/** From commits to the live state, in two steps: whoever follows others' commits does not let one's pause wait for another's vector. */
export interface Follow {
  /** Takes over all but the ads whose new text has no vector yet, and returns these. */
  hold(changes: readonly Change[]): Promise<CatalogueAd[]>;
  /** Takes over what {@link hold} returned, with the student's vectors where these can be made. */
  bring(ads: readonly CatalogueAd[]): Promise<void>;
}

export function followInto({ live, ladder, isBuilding, onVectorsMissing }: FollowOptions): Follow {
  return {
    async hold(changes) {
      const ads = await catalogueAds(changes);
      // Before the first generation nothing is searched: the build reads everything from the database.
      const searched = live.view !== undefined || isBuilding();
      const needy: CatalogueAd[] = [];
      // In turns: a new ad's place among the nearest takes a millisecond to find, and a batch has thousands.
      await inTurns(changes, ({ id, revision }, i) => {
        const entry = ads[i];
        if (entry === undefined) live.applyDelete(id, revision);
        else if (searched && (entry.uploaded !== undefined || live.view?.textOf(id) !== adText(entry.ad)))
          needy.push(entry);
        else live.applyUpsert(entry.ad, revision);
      });
      const stored = await ladder.stored(needy).catch((): undefined[] => []); // what is wrong with one, the next step is told
      await inTurns(needy, ({ ad, revision }, i) => stored[i] && live.applyUpsert(ad, revision, stored[i]));
      return needy.filter((_, i) => stored[i] === undefined);
    },
    async bring(ads) {
      if (ads.length === 0) return;
      const vectors = await ladder.resolve(ads).catch((error: unknown): AdVector[] => {
        onVectorsMissing(error, ads.length);
        return [];
      });
      await inTurns(ads, ({ ad, revision }, i) => live.applyUpsert(ad, revision, vectors[i]));
    },
  };
}
