/**
 * Campaigns, advertisers and rules of policy as queries meet them, in memory. Changes hold from the moment `apply` returns,
 * and it is called before a change is acknowledged. They belong to no generation: a swap does not touch them.
 */
import type { Account, AccountKind, Advertiser, Campaign, PolicyRule } from '../../shared/contract/accounts.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import type { Device } from '../../shared/experiment.ts';
import { opensWithin, type Schedule } from '../../shared/schedule.ts';
import { NegativeIndex } from '../retrieval/negatives.ts';

/** A campaign, an advertiser or a rule as a catalogue commit left it. */
export interface AccountChange<K extends AccountKind = AccountKind> {
  kind: K;
  id: string;
  revision: number;
  /** `undefined` when it was removed. */
  account: Account<K> | undefined;
}

/** What is known of a request when candidates are looked for; they may be cached, so device and hour are not. */
export interface Asked {
  /** Normalized. */
  query: string;
  market: string;
  /** BCP 47. */
  locale: string;
}

/** What of an ad it goes by. */
type Booked = Pick<Ad, 'campaignId' | 'advertiserId' | 'languages' | 'policyFlags'>;

/** What is left to check for every request (edge/eligibility.ts); absent fields are no condition. */
export interface ShownUnder {
  devices?: Device[];
  schedule?: Schedule;
  policyFlags?: string[];
}

/**
 * A candidate list may be served for about this long. A campaign that opens within that time is on it, and whether it
 * is open is checked when it is shown; one that does not would only take the places of others.
 */
const AHEAD_MS = 3_600_000;

/** Whether an account may be shown at all: one that may spend nothing on a day is as good as paused. */
export const isActive = ({ status, dailyBudgetMicros }: Pick<Campaign, 'status' | 'dailyBudgetMicros'>): boolean =>
  status === 'active' && dailyBudgetMicros !== 0;

const wants = <T>(list: readonly T[] | undefined, value: T): boolean =>
  list === undefined || list.length === 0 || list.includes(value);

export class Eligibility {
  readonly #campaigns = new Map<string, Campaign>();
  readonly #advertisers = new Map<string, Advertiser>();
  readonly #rules = new Map<string, PolicyRule>();
  readonly #negatives = new NegativeIndex<string>();
  readonly #revisions = new Map<string, number>();
  readonly #now: () => number;

  /** `now` is in UTC milliseconds. */
  constructor({ now }: { now: () => number } = { now: Date.now }) {
    this.#now = now;
  }

  /** Ignores what is not newer than what is known. */
  apply({ kind, id, revision, account }: AccountChange): void {
    const key = `${kind}/${id}`;
    if (revision <= (this.#revisions.get(key) ?? -1)) return;
    this.#revisions.set(key, revision);
    const all: Map<string, Account> =
      kind === 'campaign' ? this.#campaigns : kind === 'advertiser' ? this.#advertisers : this.#rules;
    if (account === undefined) all.delete(id);
    else all.set(id, account);
    if (kind === 'campaign') this.#negatives.put(id, (account as Campaign | undefined)?.negatives);
  }

  /** Whether a query may bring an ad up; to be asked for many ads, and used at once. */
  admits({ query, market, locale }: Asked): (booking: Booked) => boolean {
    const language = locale.split('-')[0]!.toLowerCase();
    const heldOff = this.#negatives.against(query);
    const now = this.#now();
    const blocked = new Set(
      [...this.#rules.values()].filter(({ blockedIn }) => wants(blockedIn, market)).map(({ id }) => id),
    );
    const flagged = (flags: readonly string[] | undefined) =>
      blocked.size > 0 && flags !== undefined && flags.some((flag) => blocked.has(flag));
    const ofCampaign = remembered((id) => {
      const campaign = this.#campaigns.get(id);
      if (campaign === undefined) return true;
      const { markets, languages, policyFlags, schedule } = campaign;
      if (!isActive(campaign) || !wants(markets, market) || !wants(languages, language)) return false;
      if (flagged(policyFlags) || (heldOff?.(id) ?? false)) return false;
      return schedule === undefined || opensWithin(schedule, now, AHEAD_MS);
    });
    const ofAdvertiser = remembered((id) => {
      const advertiser = this.#advertisers.get(id);
      return advertiser === undefined || (isActive(advertiser) && !flagged(advertiser.policyFlags));
    });
    return ({ advertiserId, campaignId, languages, policyFlags }) =>
      wants(languages, language) && !flagged(policyFlags) && ofCampaign(campaignId) && ofAdvertiser(advertiserId);
  }

  shownUnder({ campaignId, advertiserId, devices: own, policyFlags }: Ad): ShownUnder {
    const { devices: ofCampaign, schedule, policyFlags: flagsOfCampaign } = this.#campaigns.get(campaignId) ?? {};
    const { policyFlags: flagsOfAdvertiser } = this.#advertisers.get(advertiserId) ?? {};
    const [one, other] = [own ?? [], ofCampaign ?? []];
    const devices =
      one.length === 0 ? other : other.length === 0 ? one : one.filter((device) => other.includes(device));
    const conditional = one.length > 0 || other.length > 0;
    const flags = [policyFlags, flagsOfCampaign, flagsOfAdvertiser].flatMap((list) => list ?? []);
    return {
      ...(conditional ? { devices } : {}),
      ...(schedule === undefined ? {} : { schedule }),
      ...(flags.length === 0 ? {} : { policyFlags: [...new Set(flags)] }),
    };
  }

  /** The campaign's, for those who know no queries yet. */
  campaignOf({ campaignId }: Ad): Campaign | undefined {
    return this.#campaigns.get(campaignId);
  }
}

/** Asks once an id. */
function remembered(judge: (id: string) => boolean): (id: string) => boolean {
  const known = new Map<string, boolean>();
  return (id) => {
    let verdict = known.get(id);
    if (verdict === undefined) {
      verdict = judge(id);
      known.set(id, verdict);
    }
    return verdict;
  };
}
