/**
 * The ladder of an ad's vector: the one its owner uploaded; the teacher's from the bundle, while the text is still the one
 * that was embedded; else the student's own of its title, provisional until the teacher's comes with an upload or a new bundle.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { adTextDigest } from '../../shared/ad-text.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import { HarnessError } from '../../shared/problem.ts';
import { normalize } from '../../shared/text.ts';
import type { BundleAds } from '../encoder/bundle.ts';
import type { Encoder } from '../encoder/encoder.ts';
import { sixteenBits } from '../index/vector-rows.ts';
import { encodeBeside } from './encode-beside.ts';
import type { VectorSource } from './layout.ts';

/** An ad's vector and where it came from. */
export interface AdVector {
  /** [dimension]; the scale does not matter. */
  components: Int8Array | Int16Array;
  source: VectorSource;
}

/** An ad as the catalogue holds it. */
export interface CatalogueAd {
  ad: Ad;
  /** The catalogue's counter at the ad's last change; grows with every change of the ad. */
  revision: number;
  /** Uploaded vector of the ad's present text, [dimension] int8 or the bytes of [dimension] int16. */
  uploaded?: Int8Array | undefined;
}

export interface VectorLadder {
  /** Those that need no encoder, in the order given; `undefined` where only the student has one. Throws `bad_request` for an upload of another dimension. */
  stored(ads: readonly Omit<CatalogueAd, 'revision'>[]): Promise<(AdVector | undefined)[]>;
  /**
   * One vector per ad, in the order given. `patient` waits where the encoder's queue is full. Throws what the encoder
   * throws otherwise, and `bad_request` for an upload of another dimension.
   */
  resolve(
    ads: readonly Omit<CatalogueAd, 'revision'>[],
    options?: { onProgress?: (done: number, total: number) => void; signal?: AbortSignal; patient?: boolean },
  ): Promise<AdVector[]>;
  /** Reads the vectors of another bundle of the same space from now on. */
  adopt(bundleAds: BundleAds): void;
  /** Vectors handed out since the start, by source. */
  counts(): Record<VectorSource, number>;
}

/** Ads looked up at a time: about half a millisecond. */
const TURN = 256;

export function createVectorLadder(options: { bundleAds: BundleAds; encoder: Encoder }): VectorLadder {
  const { encoder } = options;
  const rowsOf = ({ ids }: BundleAds) => new Map(ids.map((id, row) => [id, row]));
  let { bundleAds } = options;
  let rowOf = rowsOf(bundleAds);
  const handedOut: Record<VectorSource, number> = { uploaded: 0, bundle: 0, student: 0 };

  const storedOf = async ({ ad, uploaded }: Omit<CatalogueAd, 'revision'>): Promise<AdVector | undefined> => {
    if (uploaded !== undefined) {
      const { dimension } = encoder;
      if (uploaded.length === dimension) return { components: uploaded, source: 'uploaded' };
      if (uploaded.length === 2 * dimension) {
        // A copy, because the bytes may begin anywhere. Not slice(): on a Node Buffer that is a view.
        return { components: new Int16Array(new Int8Array(uploaded).buffer), source: 'uploaded' };
      }
      throw new HarnessError(
        'bad_request',
        `ad ${ad.id}: expected a vector of ${dimension} int8 or int16, got ${uploaded.length} bytes.`,
      );
    }
    const row = rowOf.get(ad.id);
    if (row === undefined || bundleAds.textDigests[row] !== (await adTextDigest(ad))) return undefined;
    const { dimension, vectors } = bundleAds;
    return { components: vectors.subarray(row * dimension, (row + 1) * dimension), source: 'bundle' };
  };

  const stored: VectorLadder['stored'] = async (ads) => {
    const found: (AdVector | undefined)[] = [];
    // A few at a time, as there may be a million: queries are answered between them.
    for (let from = 0; from < ads.length; from += TURN) {
      if (from > 0) await nextTurn();
      found.push(...(await Promise.all(ads.slice(from, from + TURN).map(storedOf))));
    }
    for (const vector of found) if (vector !== undefined) handedOut[vector.source]++;
    return found;
  };

  return {
    stored,
    async resolve(ads, { onProgress, ...how } = {}) {
      const found = await stored(ads);
      const missing = [...found.keys()].filter((i) => found[i] === undefined);
      const known = ads.length - missing.length;
      onProgress?.(known, ads.length);
      // The student reads queries, and of an ad the title is what reads like one.
      const textOf = (i: number) => normalize(ads[missing[i]!]!.ad.title);
      let done = 0;
      for await (const vector of encodeBeside(encoder, { count: missing.length, textOf, ...how })) {
        found[missing[done++]!] = { components: sixteenBits(vector), source: 'student' };
        handedOut.student++;
        onProgress?.(known + done, ads.length);
      }
      return found as AdVector[];
    },
    adopt(next) {
      bundleAds = next;
      rowOf = rowsOf(next);
    },
    counts: () => ({ ...handedOut }),
  };
}
