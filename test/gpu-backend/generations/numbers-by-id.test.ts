import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NumbersById } from '../../../gpu-backend/generations/numbers-by-id.ts';

it('is what a Map of ids is, but for the order', () => {
  const id = fc.oneof(fc.constantFrom('', 'a', 'ad-1', 'ad-2', 'ключ', '👟'), fc.string({ maxLength: 3 }));
  const step = fc.record({ id, to: fc.option(fc.nat(), { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), id, (steps, asked) => {
      const [numbers, map] = [new NumbersById(), new Map<string, number>()];
      for (const { id, to } of steps) {
        if (to === undefined) {
          numbers.delete(id);
          map.delete(id);
        } else {
          numbers.set(id, to);
          map.set(id, to);
        }
        expect([numbers.size, numbers.get(asked), numbers.has(asked)]).toEqual([
          map.size,
          map.get(asked),
          map.has(asked),
        ]);
      }
      expect([...numbers.keys()].sort()).toEqual([...map.keys()].sort());
    }),
    { seed: 3 },
  );
});
