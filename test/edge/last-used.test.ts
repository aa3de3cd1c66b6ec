import { expect, it } from 'vitest';
import { lastUsed } from '../../edge/last-used.ts';

it('forgets what was not used for longest', () => {
  const cache = lastUsed<number>(2);
  cache.set('a', 1);
  cache.set('b', 2);
  cache.get('a');
  cache.set('c', 3);
  expect([...cache.keys()].sort()).toEqual(['a', 'c']);
});

it('lays out no room before it holds anything', () => {
  const cache = lastUsed<number>(2 ** 32);
  cache.set('a', 1);
  expect(cache.get('a')).toBe(1);
});
