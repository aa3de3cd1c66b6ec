/** The text of an ad that the teacher embeds; its digest says whether a stored vector still belongs to the ad. */
import { sha256Hex } from './digest.ts';

/** What is embedded: the title, then the description. Bid keywords are left out: they are for the lexical retriever. */
export function adText(ad: { title: string; description: string }): string {
  return ad.description === '' ? ad.title : `${ad.title}. ${ad.description}`;
}

/** 64 bits of SHA-256 over {@link adText}, in hex. */
export async function adTextDigest(ad: { title: string; description: string }): Promise<string> {
  return (await sha256Hex(adText(ad))).slice(0, 16);
}
