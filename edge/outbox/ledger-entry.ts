/**
 * A line of the ledger: the id of an issued event, and for an impression the arms that it is an exposure to, so that what is
 * lost is known by arm. Ids and keys have no spaces, keys no slashes.
 */
import type { HarnessEvent } from '../../shared/contract/events.ts';
import type { MissingExposure } from '../../shared/contract/reconciliation.ts';

/** `id experiment/arm experiment/arm`; what no analysis counts has its id alone. */
export function ledgerEntry(event: HarnessEvent): string {
  if (event.type !== 'impression' || event.bot || event.qa) return event.id;
  const counted = event.assignments.filter(({ washout }) => !washout);
  return [event.id, ...counted.map(({ experiment, arm }) => `${experiment}/${arm}`)].join(' ');
}

export function idOf(entry: string): string {
  return entry.split(' ', 1)[0]!;
}

/** The exposures of an entry of a minute. */
export function exposuresOf(entry: string, minuteMs: number): MissingExposure[] {
  const [impressionId, ...arms] = entry.split(' ');
  return arms.map((each) => {
    const [experiment, arm] = each.split('/');
    return { impressionId: impressionId!, experiment: experiment!, arm: arm!, atMs: minuteMs };
  });
}
