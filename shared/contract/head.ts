/** `GET /v1/head-ads`: the ads that are shown most, with their words; what the edge goes by while no backend answers. */
import * as z from 'zod';
import { Keyword } from './keyword.ts';
import { Market } from './names.ts';
import { Candidate } from './retrieve.ts';

export const HeadAd = z.lazy(() =>
  Candidate.omit({ relevance: true, sources: true })
    .extend({ keywords: z.array(z.string()), markets: z.array(Market), negatives: z.array(Keyword).optional() })
    .meta({ id: 'HeadAd' }),
);
export type HeadAd = z.infer<typeof HeadAd>;

export const HeadAds = z.lazy(() =>
  z
    .object({
      /** The live generation that the ads were taken from. Kill lists of later ones do not cover them. */
      generation: z.int(),
      /** When they were taken, UTC milliseconds. */
      atMs: z.int(),
      ads: z.array(HeadAd),
    })
    .meta({ id: 'HeadAds' }),
);
export type HeadAds = z.infer<typeof HeadAds>;
