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
  const isListed = (kind: string, id: string) => {
    const entry = killEntry(kind, id);
    return killed.has(entry) || killed.has(killEntryIn(market, entry));
  };
  const isKilled = ({ adId, campaignId, advertiserId, policyFlags = [] }: Conditional) =>
    killed.size > 0 &&
    (killed.has(adId) ||
      isListed('campaign', campaignId) ||
      isListed('advertiser', advertiserId) ||
      policyFlags.some((flag) => isListed('policy', flag)));
  return candidates.filter((candidate) => {
    const { devices, schedule } = candidate;
    return (
      !isKilled(candidate) &&
      (devices === undefined || devices.includes(device)) &&
      (schedule === undefined || isOpen(schedule, atMs))
    );
  });
}
