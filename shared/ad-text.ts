/** The text of an ad that the teacher embeds; its digest says whether a stored vector still belongs to the ad. */
import type { Ad } from './contract/ads.ts';
import { sha256Hex } from './digest.ts';

export type AdText = Pick<Ad, 'title' | 'description' | 'keywords'>;

/**
 * What is embedded: the bid keywords, which say plainly what is sold, then title and description. Order and repetition of
 * keywords are the advertiser's, so that the text is as stable as the ad.
 */
export function adText({ keywords, title, description }: AdText): string {
  const bid = [...new Set(keywords.map(({ text }) => text))].join(', ');
  return [bid, title, description].filter((part) => part !== '').join('. ');
}

/** 64 bits of SHA-256 over {@link adText}, in hex. */
export async function adTextDigest(ad: AdText): Promise<string> {
  return (await sha256Hex(adText(ad))).slice(0, 16);
}
