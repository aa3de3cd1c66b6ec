/** What an ad is booked on. */
import * as z from 'zod';
import { MatchType } from '../match-type.ts';
import { Micros } from '../money.ts';

/** What a query must say (../match-type.ts) for a keyword to match it. */
export const Keyword = z.lazy(() =>
  z.strictObject({
    text: z.string().min(1).max(80),
    match: MatchType,
    /** Most that a click on a query of this keyword may cost; absent: the ad's bid. Means nothing on a negative keyword. */
    bidMicros: Micros.max(1_000_000_000).optional(),
  }),
);
export type Keyword = z.infer<typeof Keyword>;
