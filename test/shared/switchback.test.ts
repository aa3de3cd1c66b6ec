import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assign, switchbackIn, type Visit } from '../../shared/assignment.ts';
import { BUCKETS, Experiment } from '../../shared/experiment.ts';
import { judge } from '../../shared/experiment-lifecycle.ts';
import { readWindowUnit, windowUnit } from '../../shared/switchback.ts';

const HOUR_MS = 3_600_000;
const BASE = {
  key: 'switched',
  layer: 'retrieval',
  status: 'running',
  kind: 'switchback',
  switchback: { windowMinutes: 60, washoutMinutes: 15 },
  buckets: [0, BUCKETS],
  control: 'a',
  arms: [
    { key: 'b', weight: 3, parameters: { k: 10 } },
    { key: 'a', weight: 1, parameters: {} },
  ],
};
const definition = (patch: object = {}) => Experiment.parse({ ...BASE, ...patch });
const visit = (user: string, atMs: number, market = 'us'): Visit => ({
  units: { user },
  market,
  locale: 'en',
  device: 'desktop',
  atMs,
});
const at = (atMs: number, { user = 'u', market = 'us', experiment = definition() } = {}) =>
  assign(visit(user, atMs, market), [experiment])[0]!;

describe('a switchback', () => {
  it('has everybody in a market in one arm, whoever asks, and both arms in each block', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.string(), fc.string(), (block, one, other) => {
        const hours = [0, 1].map((hour) => (2 * block + hour + 0.5) * HOUR_MS);
        const [first, second] = hours.map((atMs) => {
          const { arm, unitId, washout } = at(atMs, { user: one });
          expect(at(atMs, { user: other })).toEqual({ arm, unitId, washout, experiment: definition() });
          return arm.key;
        });
        expect([first, second].sort()).toEqual(['a', 'b']);
      }),
    );
  });

  it('is drawn for each market, and anew under another version', () => {
    const draws = (options: Parameters<typeof at>[1]) =>
      Array.from({ length: 200 }, (_, block) => at((2 * block + 0.5) * HOUR_MS, options).arm.key).join('');
    const [us, gb, again] = [{}, { market: 'gb' }, { experiment: definition({ version: 2 }) }].map(draws);
    expect(new Set([us, gb, again]).size).toBe(3);
    const treated = us!.split('b').length - 1;
    expect(Math.abs(treated - 100)).toBeLessThan(3.5 * Math.sqrt(50));
  });

  it('deals the sides that it has always dealt: edges of two versions agree on the hour, and so does the report', () => {
    const sides = (options: Parameters<typeof at>[1]) =>
      Array.from({ length: 24 }, (_, hour) => at((480_000 + hour) * HOUR_MS, options).arm.key).join('');
    expect([sides({}), sides({ market: 'gb' })]).toEqual(['abbabaababbababaabbababa', 'abbabaababbaabbaabbaabab']);
  });

  it('marks the head of a window, and names the window as the unit', () => {
    for (const [minutes, washout] of [
      [0, true],
      [14.99, true],
      [15, false],
      [59.99, false],
    ] as const)
      expect(at(7 * HOUR_MS + minutes * 60_000)).toMatchObject({ unitId: 'us@7', washout });
    expect(at(7 * HOUR_MS, { market: 'gb' }).unitId).toBe('gb@7');
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }).filter((market) => !/[\n\r\u2028\u2029]/.test(market)),
        fc.nat(),
        (market, window) => {
          expect(readWindowUnit(windowUnit(market, window))).toEqual({ market, window });
        },
      ),
    );
    expect(readWindowUnit('0123456789abcdef')).toBeUndefined();
  });

  it('is of whole markets, of two arms, and has windows', () => {
    expect(assign(visit('u', 0, 'gb'), [definition({ targeting: { markets: ['us'] } })])).toEqual([]);
    const three = [...BASE.arms, { key: 'c', weight: 1, parameters: {} }];
    for (const [patch, message] of [
      [{ switchback: undefined }, /windows for a switchback/],
      [{ kind: 'split' }, /windows for a switchback/],
      [{ arms: three }, /two arms/],
      [{ buckets: [0, 5_000] }, /whole markets/],
      [{ diversion: 'query' }, /whole markets/],
      [{ targeting: { devices: ['mobile'] } }, /whole markets/],
      [{ targeting: { share: 0.5 } }, /whole markets/],
      [{ domain: { key: 'd', buckets: [0, 10] } }, /whole markets/],
      [{ sticky: true }, /split by user/],
      [{ counterfactualShare: 0.1 }, /counterfactualShare|split without holdout/],
      [{ switchback: { windowMinutes: 60, washoutMinutes: 60 } }, /less than windowMinutes/],
    ] as const)
      expect(() => definition(patch), JSON.stringify(patch)).toThrow(message);
    expect(() => at(undefined as unknown as number)).toThrow(/no instant/);
  });

  it('that runs keeps its windows', () => {
    const { refusal } = judge(definition(), definition({ switchback: { windowMinutes: 30, washoutMinutes: 15 } }));
    expect(refusal).toMatch(/switchback.windowMinutes decides who sees what/);
    expect(switchbackIn('us', definition())).toEqual({ key: 'switched:us', windowMs: HOUR_MS, washoutMs: HOUR_MS / 4 });
  });
});
