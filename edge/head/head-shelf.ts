/**
 * The head's ads in Workers KV: one isolate asks the backend for them, all find them there, including those that start
 * later.
 */
import { HeadAds } from '../../shared/contract/head.ts';
import type { EntryNamespace } from '../cache/kv.ts';

/** Of what generation the ads are, and when they were taken. */
export type HeadStamp = Pick<HeadAds, 'generation' | 'atMs'>;

export interface HeadShelf {
  /** `undefined` when nothing is there. */
  stamp(): Promise<HeadStamp | undefined>;
  /** Checked as a whole; `undefined` when nothing is there. Rejects for what is no list of ads. */
  read(): Promise<HeadAds | undefined>;
  write(ads: HeadAds): Promise<void>;
}

const ADS = 'head/ads';
/** Beside the ads, because it is read often and they are large. */
const STAMP = 'head/stamp';

export function kvShelf(namespace: EntryNamespace, { ttlSeconds }: { ttlSeconds: number }): HeadShelf {
  const text = async (key: string) => (await namespace.getWithMetadata(key, 'text')).value;
  return {
    async stamp() {
      const { metadata } = await namespace.getWithMetadata(STAMP, 'text');
      return (metadata as HeadStamp | null) ?? undefined;
    },
    async read() {
      const found = await text(ADS);
      return found === null ? undefined : HeadAds.parse(JSON.parse(found));
    },
    async write(ads) {
      const { generation, atMs } = ads;
      const options = { expirationTtl: ttlSeconds, metadata: { generation, atMs } };
      await namespace.put(ADS, JSON.stringify(ads), options);
      await namespace.put(STAMP, '', options);
    },
  };
}
