import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, expect, it } from 'vitest';
import { clickTail, readClick } from '../../edge/click.ts';
import { Slates, type SlateTerms } from '../../edge/slates.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { parseKeyRing } from '../../shared/signature.ts';
import { CANDIDATES, TEST_KEYS } from './stand-in.ts';

const KEYS = parseKeyRing(TEST_KEYS);
const { auction } = DEFAULT_CONFIG;
const terms = (change: Partial<SlateTerms> = {}): SlateTerms => ({
  killed: NONE,
  auction,
  market: 'us',
  device: 'desktop',
  slots: 4,
  atMs: 1_800_000_000_000,
  ...change,
});
const NONE: ReadonlySet<string> = new Set();
const ids = (slate: ReturnType<Slates['of']>) => slate.map(({ candidate }) => candidate.adId);

let slates: Slates;
beforeEach(() => {
  slates = new Slates(KEYS);
});

it('is the same slate while nothing that it depends on is another', () => {
  const slate = slates.of(CANDIDATES, terms());
  expect(ids(slate)).toEqual(['ad-5', 'ad-4', 'ad-3', 'ad-2']);
  expect(slates.of(CANDIDATES, terms({ atMs: 1_900_000_000_000 }))).toBe(slate);
  expect(slates.of([...CANDIDATES], terms())).toEqual(slate.map((slot) => ({ ...slot, sign: expect.any(Function) })));
});

it('follows the kill list, the rules, the device and the number of slots, there and back', () => {
  const listed = CANDIDATES.map((ad) => (ad.adId === 'ad-5' ? { ...ad, devices: ['mobile' as const] } : ad));
  const at = (change: Partial<SlateTerms>) => ids(slates.of(listed, terms(change)));
  const desktop = ['ad-4', 'ad-3', 'ad-2', 'ad-1'];
  expect(at({})).toEqual(desktop);
  expect(at({ device: 'mobile' })).toEqual(['ad-5', 'ad-4', 'ad-3', 'ad-2']);
  expect(at({ slots: 2 })).toEqual(['ad-4', 'ad-3']);
  expect(at({ killed: new Set(['ad-4']) })).toEqual(['ad-3', 'ad-2', 'ad-1']);
  expect(at({ auction: { ...auction, reserveMicros: 700_000 } })).toEqual(['ad-3', 'ad-2', 'ad-1']);
  expect(at({})).toEqual(desktop);
  for (let slots = 1; slots <= 10; slots++) expect(at({ slots })).toEqual(desktop.slice(0, slots));
});

it('remembers a list for phones and for desktops, and no third view beside these', () => {
  const [desktop, mobile] = [slates.of(CANDIDATES, terms()), slates.of(CANDIDATES, terms({ device: 'mobile' }))];
  expect(slates.of(CANDIDATES, terms())).toBe(desktop);
  expect(slates.of(CANDIDATES, terms({ device: 'mobile' }))).toBe(mobile);
  const third = slates.of(CANDIDATES, terms({ device: 'tablet' }));
  expect(slates.of(CANDIDATES, terms({ device: 'tablet' }))).toBe(third);
  expect(slates.of(CANDIDATES, terms())).not.toBe(desktop);
});

it('keeps no kill list that nobody goes by any more, however long the list of ads stays', async () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  const shown = () => {
    const killed = new Set(['ad-5']);
    expect(ids(slates.of(CANDIDATES, terms({ killed })))).not.toContain('ad-5');
    return new WeakRef(killed);
  };
  const before = shown();
  expect(ids(slates.of([...CANDIDATES], terms()))).toContain('ad-5');
  await new Promise(setImmediate);
  collect();
  expect(before.deref()).toBeUndefined();
  expect(ids(slates.of(CANDIDATES, terms()))).toContain('ad-5');
});

it('looks at the clock wherever an ad has hours', () => {
  const endsAt = '2027-01-15T08:00:00Z';
  const listed = CANDIDATES.map((ad) => (ad.adId === 'ad-5' ? { ...ad, schedule: { timeZone: 'UTC', endsAt } } : ad));
  const at = (offsetMs: number) => ids(slates.of(listed, terms({ atMs: Date.parse(endsAt) + offsetMs })))[0];
  expect([at(-1_000), at(1_000)]).toEqual(['ad-5', 'ad-4']);
});

it('signs what each slot is and where it leads, for one page each', async () => {
  const slate = slates.of(CANDIDATES, terms());
  for (const i of ['impression-1', 'impression-2']) {
    const tail = clickTail({ i, x: 1_900_000_000 });
    for (const { position: p, candidate, priceMicros: c, sign } of slate) {
      const { adId: a, landingUrl: d } = candidate;
      expect(await readClick(KEYS, sign(tail))).toEqual({ i, a, p, d, c, x: 1_900_000_000 });
    }
  }
});
