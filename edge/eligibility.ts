/** Which candidates may be shown at all. The kill list holds for cached answers too: it is checked for every request. */

/** Ads that must leave every answer at once. */
export function killSet(killList: readonly string[]): ReadonlySet<string> {
  return new Set(killList);
}

/** The candidates that are not on the kill list, in their order. */
export function eligible<C extends { adId: string }>(candidates: readonly C[], killed: ReadonlySet<string>): C[] {
  return candidates.filter(({ adId }) => !killed.has(adId));
}
