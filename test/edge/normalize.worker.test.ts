import { expect, it } from 'vitest';
import { normalize } from '../../shared/text.ts';
// As text: module loaders do not take the lone surrogate that is among the cases.
import text from '../golden/normalize.json?raw';

const golden = JSON.parse(text) as { cases: [name: string, locale: string, query: string, normalized: string][] };

// The twin of test/shared/text.test.ts: the same bytes in the runtime that makes the cache keys.
it.each(golden.cases)('%s', (_, locale, query, normalized) => {
  expect([...new TextEncoder().encode(normalize(query, locale))]).toEqual([...new TextEncoder().encode(normalized)]);
});
