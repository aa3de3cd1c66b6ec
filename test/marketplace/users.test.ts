import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../marketplace/random.ts';
import {
  clickProbability,
  conversionProbability,
  createUsers,
  drawSale,
  examination,
} from '../../marketplace/users.ts';

const GRADES = [0, 1, 2, 3] as const;

describe('the click model', () => {
  it('rises with the grade at every position', () => {
    for (let position = 1; position <= 20; position++) {
      for (const grade of [1, 2, 3] as const) {
        const lower = (grade - 1) as 0 | 1 | 2;
        expect(clickProbability(grade, position)).toBeGreaterThan(clickProbability(lower, position));
      }
    }
  });

  it('falls with the position for every grade', () => {
    for (const grade of GRADES) {
      for (let position = 1; position < 30; position++) {
        expect(clickProbability(grade, position + 1)).toBeLessThan(clickProbability(grade, position));
      }
    }
    expect(examination(1)).toBeLessThanOrEqual(1);
  });

  it('is a probability however eager the person', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...GRADES),
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0, max: 50, noNaN: true }),
        (grade, position, eagerness) => {
          const probability = clickProbability(grade, position, eagerness);
          expect(probability).toBeGreaterThanOrEqual(0);
          expect(probability).toBeLessThan(1);
        },
      ),
      { seed: 1 },
    );
  });

  it('has purchases that rise with the grade', () => {
    for (const grade of [1, 2, 3] as const) {
      expect(conversionProbability(grade)).toBeGreaterThan(conversionProbability((grade - 1) as 0 | 1 | 2));
    }
  });
});

describe('createUsers', () => {
  const options = { count: 500, markets: ['us', 'gb', 'au'], departments: ['food', 'tools', 'music', 'office'] };

  it('is the same population for a seed', () => {
    expect(createUsers(options, createRandom(1, 'u'))).toEqual(createUsers(options, createRandom(1, 'u')));
    expect(createUsers(options, createRandom(1, 'u'))).not.toEqual(createUsers(options, createRandom(2, 'u')));
  });

  it('gives everybody an id, a market and habits', () => {
    const users = createUsers(options, createRandom(1, 'u'));
    expect(new Set(users.map(({ id }) => id)).size).toBe(500);
    for (const { market, interests } of users) {
      expect(options.markets).toContain(market);
      expect(interests.length).toBeGreaterThan(0);
    }
  });
});

describe('drawSale', () => {
  it('is whole cents above zero', () => {
    const random = createRandom(1, 'sale');
    for (let i = 0; i < 200; i++) {
      const micros = drawSale(20, random);
      expect(micros).toBeGreaterThan(0);
      expect(micros % 10_000).toBe(0);
    }
  });
});
