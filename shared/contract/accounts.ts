/**
 * Whose the ads are and under what terms they run: campaigns, advertisers, and the operator's rules of policy. An ad
 * may be shown where its own terms, its campaign's, its advertiser's and the rules all allow it. An ad whose campaign
 * or advertiser is not booked here runs by its own terms alone.
 */
import * as z from 'zod';
import { Micros } from '../money.ts';
import { isTimeZone, Schedule } from '../schedule.ts';
import { AdStatus, AdTerms } from './ads.ts';
import { AdId, Market } from './names.ts';
import { nextPage, pageBehind } from './paging.ts';

const Name = z.string().trim().max(200).optional();
/** Of all its ads together, by their clicks of a UTC day; absent: as far as the ads' own budgets go. */
const DailyBudget = Micros.optional();

export const Campaign = z
  .strictObject({
    id: AdId,
    advertiserId: AdId,
    name: Name,
    status: AdStatus,
    dailyBudgetMicros: DailyBudget,
    schedule: Schedule.unwrap()
      .refine(({ timeZone }) => isTimeZone(timeZone), {
        path: ['timeZone'],
        error: 'expected an IANA time zone such as Europe/London',
      })
      .optional(),
    /** Of those that an ad is booked in; absent: all of them. */
    markets: z.array(Market).min(1).max(50).optional(),
    ...AdTerms,
  })
  .meta({ id: 'Campaign' });
export type Campaign = z.infer<typeof Campaign>;

export const Advertiser = z
  .strictObject({
    id: AdId,
    name: Name,
    status: AdStatus,
    dailyBudgetMicros: DailyBudget,
    policyFlags: AdTerms.policyFlags,
  })
  .meta({ id: 'Advertiser' });
export type Advertiser = z.infer<typeof Advertiser>;

/** What becomes of ads with a flag. A flag without a rule holds nothing back. */
export const PolicyRule = z
  .strictObject({
    /** The flag. */
    id: AdId,
    /** Where its ads are not shown; absent: nowhere are they shown. */
    blockedIn: z.array(Market).min(1).max(50).optional(),
  })
  .meta({ id: 'PolicyRule' });
export type PolicyRule = z.infer<typeof PolicyRule>;

/** The kinds, by the name that a kill list gives them. */
export const ACCOUNT_SCHEMAS = { campaign: Campaign, advertiser: Advertiser, policy: PolicyRule } as const;
export type AccountKind = keyof typeof ACCOUNT_SCHEMAS;
export type Account<K extends AccountKind = AccountKind> = z.infer<(typeof ACCOUNT_SCHEMAS)[K]>;

export const CampaignPatch = Campaign.omit({ id: true }).partial().meta({ id: 'CampaignPatch' });
export const AdvertiserPatch = Advertiser.omit({ id: true }).partial().meta({ id: 'AdvertiserPatch' });

export const AccountPage = pageBehind(AdId);
export type AccountPage = z.infer<typeof AccountPage>;
export const CampaignList = z.object({ campaigns: z.array(Campaign), ...nextPage(AdId) }).meta({ id: 'CampaignList' });
export const AdvertiserList = z
  .object({ advertisers: z.array(Advertiser), ...nextPage(AdId) })
  .meta({ id: 'AdvertiserList' });
export const PolicyList = z.object({ rules: z.array(PolicyRule), ...nextPage(AdId) }).meta({ id: 'PolicyList' });
