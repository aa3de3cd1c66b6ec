/**
 * Which candidates may be shown at all. It is checked for every request, because it holds for cached answers too: the kill
 * list, and what the list could not know when it was made, the device and the hour.
 */
import type { Candidate } from '../shared/contract/retrieve.ts';
import { killEntry } from '../shared/contract/takedown.ts';
import type { Device } from '../shared/experiment.ts';
import { isOpen } from '../shared/schedule.ts';

/** Ads, campaigns and advertisers that must leave every answer at once. */
export function killSet(killList: readonly string[]): ReadonlySet<string> {
  return new Set(killList);
}

type Conditional = Pick<Candidate, 'adId' | 'campaignId' | 'advertiserId' | 'devices' | 'schedule'>;

/** The candidates that may be shown on the device at the instant, in their order. */
export function eligible<C extends Conditional>(
  candidates: readonly C[],
  { killed, device, atMs }: { killed: ReadonlySet<string>; device: Device; atMs: number },
): C[] {
  return candidates.filter(
    ({ adId, campaignId, advertiserId, devices, schedule }) =>
      !killed.has(adId) &&
      !killed.has(killEntry('campaign', campaignId)) &&
      !killed.has(killEntry('advertiser', advertiserId)) &&
      (devices === undefined || devices.includes(device)) &&
      (schedule === undefined || isOpen(schedule, atMs)),
  );
}
