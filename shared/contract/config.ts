/** What the edge serves by: made by the backend from its database, carried by `GET /v1/config`, bundled as a default. */
import * as z from 'zod';
import { AuctionConfig } from '../auction.ts';
import { Experiment } from '../experiment.ts';
import { conflict } from '../experiment-set.ts';
import { Plan } from '../plan.ts';
import { Locale, Market } from './names.ts';

export const ServingConfig = z
  .object({
    /** Grows with every change of anything below; the edge adopts the greatest it has seen. 0 is the bundled default. */
    version: z.int().nonnegative(),
    /** The live generation, `null` before the first. */
    generation: z.int().nullable(),
    markets: z.array(Market).min(1),
    locales: z.array(Locale).min(1),
    plan: Plan,
    auction: AuctionConfig,
    experiments: z.array(Experiment),
    /** Ads that must leave every answer at once, cached or not; campaigns, advertisers and flags of policy as takedown.ts names them. */
    killList: z.array(z.string()),
    /** The generation since whose snapshot they were taken down, as takedown.ts says. */
    killListSince: z.int().nonnegative().optional(),
  })
  .superRefine(({ experiments }, context) => {
    const message = conflict(experiments);
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['experiments'], message });
  })
  .meta({ id: 'ServingConfig' });
export type ServingConfig = z.infer<typeof ServingConfig>;

/** What of it comes with a release. */
export type ServingDefaults = Pick<ServingConfig, 'markets' | 'locales' | 'plan' | 'auction'>;
