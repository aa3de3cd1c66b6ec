/**
 * Generalised second price auction with reserve and quality (Varian 2007; Edelman, Ostrovsky and Schwarz 2007).
 * Ads rank by bid x quality^exponent; an ad that is clicked pays the least bid that would have kept its position.
 */
import * as z from 'zod';

export const AuctionConfig = z.strictObject({
  /** Least price of a click, in micros; bids below it do not take part. */
  reserveMicros: z.int().nonnegative(),
  /** How much relevance counts against money: 0 ranks by bid alone. */
  qualityExponent: z.number().min(0).max(16),
  /** Slots of a page unless the request asks for fewer. */
  slots: z.int().min(1).max(10),
  /** Most ads of one advertiser on a page; absent: one. */
  adsPerAdvertiser: z.int().min(1).max(10).optional(),
  /** Most ads of one campaign on a page; absent: as many as its advertiser may have. */
  adsPerCampaign: z.int().min(1).max(10).optional(),
});
export type AuctionConfig = z.infer<typeof AuctionConfig>;

export interface Bidder {
  adId: string;
  advertiserId: string;
  campaignId?: string;
  bidMicros: number;
  /** Calibrated relevance, 0 to 1. */
  relevance: number;
}

export interface AuctionSlot<B extends Bidder> {
  /** 1-based. */
  position: number;
  candidate: B;
  /** Charged if clicked. */
  priceMicros: number;
}

/**
 * Fills at most `slots` slots within the caps. Nobody bids against himself: what keeps an ad's position is told by the next
 * ad of another advertiser. Deterministic: ties go to the smaller ad id.
 */
export function auction<B extends Bidder>(candidates: readonly B[], config: AuctionConfig): AuctionSlot<B>[] {
  const quality = (candidate: B) => candidate.relevance ** config.qualityExponent;
  const ranked = candidates
    .filter(({ bidMicros }) => bidMicros >= config.reserveMicros && bidMicros > 0)
    .map((candidate) => {
      const q = quality(candidate);
      return { candidate, quality: q, score: candidate.bidMicros * q };
    })
    .filter(({ quality: q }) => q > 0)
    .sort((a, b) => b.score - a.score || (a.candidate.adId < b.candidate.adId ? -1 : 1));

  const { adsPerAdvertiser = 1, adsPerCampaign = adsPerAdvertiser } = config;
  const ofAdvertiser = new Map<string, number>();
  const ofCampaign = new Map<string, number>();
  const entrants = ranked.filter(({ candidate: { advertiserId, campaignId = '' } }) => {
    const [its, campaigns] = [ofAdvertiser.get(advertiserId) ?? 0, ofCampaign.get(campaignId) ?? 0];
    if (its >= adsPerAdvertiser || (campaignId !== '' && campaigns >= adsPerCampaign)) return false;
    ofAdvertiser.set(advertiserId, its + 1);
    ofCampaign.set(campaignId, campaigns + 1);
    return true;
  });

  return entrants.slice(0, config.slots).map(({ candidate, quality: q }, i) => {
    const next = entrants.find((other, j) => j > i && other.candidate.advertiserId !== candidate.advertiserId);
    const toKeep = next === undefined ? 0 : Math.ceil(next.score / q);
    return {
      position: i + 1,
      candidate,
      priceMicros: Math.min(candidate.bidMicros, Math.max(config.reserveMicros, toKeep)),
    };
  });
}
