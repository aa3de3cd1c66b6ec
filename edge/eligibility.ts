/**
 * Which candidates may be shown at all. It is checked for every request, because it holds for cached answers too: the kill
 * list, and what the list could not know when it was made, the device and the hour.
 */
import type { Candidate } from '../shared/contract/retrieve.ts';
import { killEntry, killEntryIn } from '../shared/contract/takedown.ts';
import type { Device } from '../shared/experiment.ts';
import { isOpen } from '../shared/schedule.ts';

/** Ads, campaigns, advertisers and flags of policy that must leave every answer at once. */
export function killSet(killList: readonly string[]): ReadonlySet<string> {
  return new Set(killList);
}

type Conditional = Pick<Candidate, 'adId' | 'campaignId' | 'advertiserId' | 'policyFlags' | 'devices' | 'schedule'>;

export interface ShownWhere {
  killed: ReadonlySet<string>;
  market: string;
  device: Device;
  atMs: number;
}

/** The candidates that may be shown in the market, on the device, at the instant, in their order. */
export function eligible<C extends Conditional>(
  candidates: readonly C[],
  { killed, market, device, atMs }: ShownWhere,
): C[] {
  const isKilled = (kind: string, id: string) => {
    const entry = killEntry(kind, id);
    return killed.has(entry) || killed.has(killEntryIn(market, entry));
  };
  return candidates.filter(
    ({ adId, campaignId, advertiserId, policyFlags, devices, schedule }) =>
      (killed.size === 0 ||
        !(
          killed.has(adId) ||
          isKilled('campaign', campaignId) ||
          isKilled('advertiser', advertiserId) ||
          policyFlags?.some((flag) => isKilled('policy', flag))
        )) &&
      (devices === undefined || devices.includes(device)) &&
      (schedule === undefined || isOpen(schedule, atMs)),
  );
}
