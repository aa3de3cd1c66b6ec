/**
 * How much likelier a slot is looked at than the next, from the log alone (intervention harvesting: Agarwal, Zaitsev, Wang,
 * Li, Najork and Joachims, "Estimating position bias without intrusive interventions", WSDM 2019). Coins of the draft,
 * changing bids and budgets show one ad of one query at several positions; what its click rate loses from one to the next is the position's doing.
 */
export interface ShownSlot {
  query: string;
  adId: string;
  /** 1-based. */
  position: number;
  clicked: boolean;
}

/**
 * Chance that a position is looked at relative to the first, by position from 1; `undefined` where no ad was seen and clicked
 * at two positions next to each other, so that nothing ties them together.
 */
export function examinationOf(slots: readonly ShownSlot[]): number[] | undefined {
  const last = slots.reduce((most, { position }) => Math.max(most, position), 0);
  const rates = clickRates(slots);
  const chances = [1];
  for (let position = 1; position < last; position++) {
    let [here, next] = [0, 0];
    for (const places of rates) {
      const [a, b] = [places.get(position), places.get(position + 1)];
      if (a === undefined || b === undefined) continue;
      // Weighted by what both positions have seen, so that an ad shown once says little.
      const weight = (a.shown * b.shown) / (a.shown + b.shown);
      here += (weight * a.clicks) / a.shown;
      next += (weight * b.clicks) / b.shown;
    }
    if (here === 0 || next === 0) return undefined;
    chances.push((chances[position - 1]! * next) / here);
  }
  return chances;
}

/** Shown and clicked by position, for each ad of each query. */
function clickRates(slots: readonly ShownSlot[]): Map<number, { shown: number; clicks: number }>[] {
  const rates = new Map<string, Map<number, { shown: number; clicks: number }>>();
  for (const { query, adId, position, clicked } of slots) {
    const key = `${adId}\n${query}`;
    const places = rates.get(key) ?? new Map<number, { shown: number; clicks: number }>();
    const rate = places.get(position) ?? { shown: 0, clicks: 0 };
    rate.shown += 1;
    rate.clicks += clicked ? 1 : 0;
    places.set(position, rate);
    rates.set(key, places);
  }
  return [...rates.values()];
}
