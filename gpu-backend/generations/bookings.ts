/**
 * What decides whether an ad is shown at all, apart from the ads themselves: of a million ads a few thousand are booked
 * differently. A query judges each booking once, and an ad costs it one number, where the ad's own fields are scattered
 * over memory: ten of them take longer to read than everything else that is done with an ad that is passed over.
 */
import type { Ad } from '../../shared/contract/ads.ts';
import { inTurns } from '../in-turns.ts';

/** Ads that are alike in these are judged alike. */
export type Booking = Pick<Ad, 'status' | 'markets' | 'campaignId' | 'advertiserId' | 'languages' | 'policyFlags'>;

/** An ad, as far as it is judged: one that may spend nothing on a day is as good as paused. */
type Booked = Booking & Partial<Pick<Ad, 'dailyBudgetMicros'>>;

const NONE = -1;

const sameList = (a: readonly string[] = [], b: readonly string[] = []) =>
  a === b || (a.length === b.length && a.every((value, i) => value === b[i]));

const same = (a: Booking, b: Booking) =>
  a.status === b.status &&
  sameList(a.markets, b.markets) &&
  sameList(a.languages, b.languages) &&
  sameList(a.policyFlags, b.policyFlags);

/** The booking of each slot's ad. */
export class Bookings {
  readonly #bookings: Booking[] = [];
  /** Numbers of bookings, by campaign and advertiser. */
  readonly #numbers = new Map<string, number[]>();
  /** By slot. */
  #numberOf = new Int32Array(0);

  /** In place of what the slot had. */
  put(slot: number, ad: Booked): void {
    if (slot >= this.#numberOf.length) {
      const grown = new Int32Array(2 * slot + 64).fill(NONE);
      grown.set(this.#numberOf);
      this.#numberOf = grown;
    }
    this.#numberOf[slot] = this.#number(ad);
  }

  remove(slot: number): void {
    if (slot < this.#numberOf.length) this.#numberOf[slot] = NONE;
  }

  /** Which slots have ads whose booking makes `holds` true; it is asked once per booking. Never an empty slot. */
  where(holds: (booking: Booking) => boolean): (slot: number) => boolean {
    // 0 before it was asked.
    const verdicts = new Int8Array(this.#bookings.length);
    return (slot) => {
      const number = this.#numberOf[slot] ?? NONE;
      if (number === NONE) return false;
      // An index elsewhere may ask later, when there are more.
      if (number >= verdicts.length) return holds(this.#bookings[number]!);
      if (verdicts[number] === 0) verdicts[number] = holds(this.#bookings[number]!) ? 1 : -1;
      return verdicts[number] === 1;
    };
  }

  #number({ status, dailyBudgetMicros, markets, campaignId, advertiserId, languages, policyFlags }: Booked): number {
    const booking: Booking = {
      status: dailyBudgetMicros === 0 ? 'paused' : status,
      markets,
      campaignId,
      advertiserId,
      ...(languages === undefined ? {} : { languages }),
      ...(policyFlags === undefined ? {} : { policyFlags }),
    };
    const key = `${campaignId}\n${advertiserId}`;
    const numbers = this.#numbers.get(key) ?? [];
    const known = numbers.find((number) => same(this.#bookings[number]!, booking));
    if (known !== undefined) return known;
    this.#numbers.set(key, numbers);
    numbers.push(this.#bookings.length);
    return this.#bookings.push(booking) - 1;
  }
}

/** The bookings of a generation's ads by row, letting others run in between. */
export async function indexBookings(ads: readonly { ad: Booked }[]): Promise<Bookings> {
  const bookings = new Bookings();
  await inTurns(ads, ({ ad }, row) => bookings.put(row, ad));
  return bookings;
}
