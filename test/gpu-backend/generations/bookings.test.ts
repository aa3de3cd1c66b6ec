import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Booking, Bookings, indexBookings } from '../../../gpu-backend/generations/bookings.ts';

const some = (...values: string[]) => fc.option(fc.subarray(values), { nil: undefined });
const booking: fc.Arbitrary<Booking> = fc
  .record({
    status: fc.constantFrom('active', 'paused', 'blocked'),
    markets: fc.subarray(['us', 'gb', 'de']),
    campaignId: fc.constantFrom('a', 'b'),
    advertiserId: fc.constantFrom('a', 'b'),
    languages: some('en', 'de'),
    policyFlags: some('alcohol', 'adult'),
  })
  .map(({ languages, policyFlags, ...rest }) => ({
    ...rest,
    ...(languages === undefined ? {} : { languages }),
    ...(policyFlags === undefined ? {} : { policyFlags }),
  })) as fc.Arbitrary<Booking>;
const change = fc.oneof(fc.record({ slot: fc.nat(200), ad: booking }), fc.record({ slot: fc.nat(200) }));

/** An empty list is no condition, as an absent one is. */
const said = ({ languages = [], policyFlags = [], ...rest }: Booking) =>
  JSON.stringify([languages, policyFlags, Object.entries(rest).toSorted()]);
const bookedLike = (own: Booking) => (other: Booking) => said(other) === said(own);

it('answers for each slot what its own ad would be answered, after any changes', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), booking, (changes, wanted) => {
      const bookings = new Bookings();
      const own = new Map<number, Booking>();
      for (const { slot, ...rest } of changes) {
        if ('ad' in rest) {
          bookings.put(slot, rest.ad);
          own.set(slot, rest.ad);
        } else {
          bookings.remove(slot);
          own.delete(slot);
        }
      }
      for (const condition of [bookedLike(wanted), ...[...own.values()].slice(0, 3).map(bookedLike)]) {
        const holds = bookings.where(condition);
        for (let slot = 0; slot <= 201; slot++) {
          const ad = own.get(slot);
          expect(holds(slot)).toBe(ad !== undefined && condition(ad));
        }
      }
    }),
    { seed: 5, numRuns: 100 },
  );
});

it('has an ad that may spend nothing as paused', () => {
  const bookings = new Bookings();
  const ad = { status: 'active' as const, markets: ['us'], campaignId: 'a', advertiserId: 'a' };
  bookings.put(0, { ...ad, dailyBudgetMicros: 0 });
  bookings.put(1, { ...ad, dailyBudgetMicros: 1 });
  const active = bookings.where(({ status }) => status === 'active');
  expect([active(0), active(1)]).toEqual([false, true]);
});

it('asks once a booking, and of what came since as well', async () => {
  const ads = Array.from({ length: 5_000 }, (_, i) => ({
    ad: { status: 'active', markets: ['us'], campaignId: `c${i % 7}`, advertiserId: 'a' } as Booking,
  }));
  const bookings = await indexBookings(ads);
  let asked = 0;
  const holds = bookings.where(({ campaignId }) => {
    asked++;
    return campaignId !== 'c3';
  });
  const held = ads.flatMap((_, slot) => (holds(slot) ? [] : slot));
  expect(held).toEqual(ads.flatMap((_, slot) => (slot % 7 === 3 ? slot : [])));
  expect(asked).toBe(7);
  bookings.put(9_000, { ...ads[0]!.ad, campaignId: 'new' });
  bookings.put(1, { ...ads[0]!.ad, campaignId: 'c3' });
  bookings.remove(2);
  expect([holds(9_000), holds(1), holds(2), holds(8_000)]).toEqual([true, false, false, false]);
});
