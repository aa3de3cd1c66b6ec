/**
 * `GET /v1/kill-list`: which ads must leave every answer at once, and which experiments may still assign anybody; the parts
 * of the configuration that cannot wait.
 */
import * as z from 'zod';

/** How a kill list names a campaign, an advertiser or a flag of policy, and so all of its ads, among ads: a slash is in no ad's id. */
export const killEntry = (kind: string, id: string): string => `${kind}/${id}`;

/** An entry that holds in one market alone: no kind is named as a market is. */
export const killEntryIn = (market: string, entry: string): string => `${market}/${entry}`;

export const KillList = z
  .object({
    /** Of the serving configuration that the list belongs to; it grows with every change of the list. */
    version: z.int().nonnegative(),
    /** The live generation, `null` before the first: cached lists of older ones are not asked for any more. */
    generation: z.int().nullable(),
    /** It names what was taken down since this generation's snapshot: candidates of older ones are not shown. Absent before the first. */
    since: z.int().nonnegative().optional(),
    /**
     * Paused, blocked, removed, and out of budget for the day; campaigns, advertisers and flags by {@link killEntry}, those that a rule of
     * policy holds back in some markets by {@link killEntryIn}.
     */
    adIds: z.array(z.string()),
    /** Keys of the experiments that run: any other that an older configuration has running is stopped. */
    running: z.array(z.string()).optional(),
  })
  .meta({ id: 'KillList' });
export type KillList = z.infer<typeof KillList>;

/** `?have=`: the version that the caller has. */
export const KillListQuery = z.object({ have: z.coerce.number().pipe(z.int().positive()).optional() });

/** The list, without `adIds` where they are those of the version that the caller has: it asks several times a second. */
export const KillListAnswer = KillList.partial({ adIds: true }).meta({ id: 'KillListAnswer' });
export type KillListAnswer = z.infer<typeof KillListAnswer>;

/** What one keeper of the list says to another: how old its knowledge is, and the list where the other's is another. */
export const KillListNews = z.object({ ageMs: z.number().nonnegative(), list: KillList.optional() });
export type KillListNews = z.infer<typeof KillListNews>;
