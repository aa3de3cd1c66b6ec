import { LRUCache } from 'lru-cache';
import { expect, it } from 'vitest';
import { zipfRequests } from '../../../bench/edge/zipf.ts';
import { VectorCache } from '../../../gpu-backend/encoder/vector-cache.ts';

const DIMENSION = 16;
const known = () => ({ vector: new Float32Array(DIMENSION), tokens: 3 });
/** About what an entry is charged here. */
const ENTRY = 4 * DIMENSION + 320;

it('keeps more of what people ask for than the least recently used way does', () => {
  const cache = new VectorCache({ maxBytes: 200 * ENTRY, dimension: DIMENSION });
  const lru = new LRUCache<string, true>({ max: 200 });
  const hits = { cache: 0, lru: 0 };
  for (const rank of zipfRequests({ queries: 20_000, requests: 60_000, exponent: 0.9, seed: 3 })) {
    const text = `query ${rank}`;
    if (cache.get(text) === undefined) cache.set(text, known());
    else hits.cache++;
    if (lru.get(text) === undefined) lru.set(text, true);
    else hits.lru++;
  }
  expect(hits.cache).toBeGreaterThan(1.15 * hits.lru);
});

it('never holds more than its bytes, however long the texts, and forgets all when told to', () => {
  const cache = new VectorCache({ maxBytes: 50 * ENTRY, dimension: DIMENSION });
  for (let i = 0; i < 2_000; i++) {
    const text = `${i} `.repeat(1 + (i % 400));
    cache.get(text);
    cache.set(text, known());
    expect(cache.size.bytes).toBeLessThanOrEqual(50 * ENTRY);
  }
  expect(cache.size.entries).toBeGreaterThan(0);
  cache.clear();
  expect(cache.size).toEqual({ entries: 0, bytes: 0 });
});

it('works when its window has no room for a single entry', () => {
  const cache = new VectorCache({ maxBytes: 3 * ENTRY, dimension: DIMENSION });
  const entry = known();
  cache.get('sofa');
  cache.set('sofa', entry);
  expect(cache.get('sofa')).toBe(entry);
});
