/** What was used last, bounded in entries: for what is worth remembering and small enough to be counted rather than weighed. */
import { LRUCache } from 'lru-cache';

/**
 * Remembers `entries` values, and forgets the one that was not used for longest. Each weighs one: under a `max` the library lays out
 * room for all of them at once, which a start of the Worker would pay for.
 */
export const lastUsed = <Value extends {}>(entries: number): LRUCache<string, Value> =>
  new LRUCache({ maxSize: entries, sizeCalculation: () => 1 });
