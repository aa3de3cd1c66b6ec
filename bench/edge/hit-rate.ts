/**
 * The memory tier itself under requests by Zipf's law, beside LRU and what is possible at all. All lists are of one size,
 * that of forty candidates, which is what makes the optimum exact.
 */
import { LRUCache } from 'lru-cache';
import { type CacheEntry, cachePath } from '../../edge/cache/cache-port.ts';
import { costOf, MemoryCache } from '../../edge/cache/memory.ts';
import { bounded, type Row } from '../row.ts';
import { minHits, staticHits } from './optimum.ts';
import { LIST } from './stand-in-list.ts';
import { zipfRequests } from './zipf.ts';

export interface HitRateOptions {
  requests: number;
  queries: number;
  cacheBytes: number;
}

export async function hitRateRows({ requests: count, queries, cacheBytes }: HitRateOptions): Promise<Row[]> {
  const requests = zipfRequests({ queries, requests: count, exponent: 1, seed: 1 });
  const entry: CacheEntry = { body: JSON.stringify(LIST), storedAtMs: 0, softUntilMs: 1, hardUntilMs: 1 };
  const paths = Array.from({ length: queries }, (_, query) => pathOf(query));
  const size = costOf(paths[0]!, entry);
  const capacity = Math.floor(cacheBytes / size);
  const percent = (hits: number) => (100 * hits) / count;

  const memory = new MemoryCache({ maxBytes: cacheBytes, now: () => 0 });
  let ours = 0;
  for (const query of requests) {
    const path = paths[query]!;
    if ((await memory.get(path)) !== undefined) ours += 1;
    else await memory.put(path, entry);
  }

  const lru = new LRUCache<number, true>({ maxSize: cacheBytes, sizeCalculation: () => size });
  let recent = 0;
  for (const query of requests) {
    if (lru.get(query)) recent += 1;
    else lru.set(query, true);
  }

  const best = percent(staticHits(requests, capacity));
  const said = `Zipf(1.0), ${queries} queries, ${count} requests, ${cacheBytes / 1e6} MB`;
  return [
    { metric: `hit rate of the memory tier: ${said}`, value: percent(ours), unit: '%' },
    bounded('hit rate below the best fixed content (static optimum)', best - percent(ours), 'points', ['<=', 3]),
    { metric: 'hit rate of the static optimum', value: best, unit: '%' },
    { metric: 'hit rate of LRU', value: percent(recent), unit: '%' },
    {
      metric: "hit rate of Belady's MIN, which sees the future",
      value: percent(minHits(requests, capacity)),
      unit: '%',
    },
  ];
}

const pathOf = (query: number) =>
  cachePath({
    listVersion: 1,
    normalizerVersion: 1,
    generation: 1,
    plan: '0'.repeat(32),
    market: 'us',
    locale: 'en',
    queryHash: query.toString(16).padStart(64, '0'),
  });
