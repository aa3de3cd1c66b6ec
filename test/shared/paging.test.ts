import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { firstPage, pageBehind } from '../../shared/contract/paging.ts';

const keys = fc.uniqueArray(fc.nat(200)).map((found) => found.sort((a, b) => a - b));

test('page by page, every entry comes once and in order, whatever comes and goes behind and before', () => {
  const change = fc.record({ at: fc.nat(200), gone: fc.boolean() });
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 30 }), fc.array(change), (stored, limit, changes) => {
      const present = new Set(stored);
      const kept = stored.filter((key) => !changes.some(({ at }) => at === key));
      const seen: number[] = [];
      let after: number | null = -1;
      while (after !== null) {
        const behind = [...present].sort((a, b) => a - b).filter((key) => key > after!);
        const page = firstPage(behind.slice(0, limit + 1), { limit, keyOf: (key) => key });
        expect(page.entries.length).toBeLessThanOrEqual(limit);
        seen.push(...page.entries);
        after = page.next;
        const changed = changes.pop();
        if (changed !== undefined) present[changed.gone ? 'delete' : 'add'](changed.at);
      }
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
      expect(kept.filter((key) => !seen.includes(key))).toEqual([]);
    }),
  );
});

test('the query string of a list has a limit within bounds, and a key of its kind', () => {
  const numbers = pageBehind(z.coerce.number().int());
  expect(numbers.parse({})).toEqual({ limit: 1_000 });
  expect(numbers.parse({ limit: '2', after: '7', other: 'x' })).toEqual({ limit: 2, after: 7 });
  for (const limit of ['0', '-1', '10001', '1.5', '', 'many']) expect(numbers.safeParse({ limit }).success).toBe(false);
  expect(numbers.safeParse({ after: 'x' }).success).toBe(false);
});
