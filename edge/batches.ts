/** Lists of events cut to what one call carries: the limits of Cloudflare Queues' batches, kept towards the backend. */
import type { HarnessEvent } from '../shared/contract/events.ts';

export const MAX_BATCH_EVENTS = 100;
export const MAX_BATCH_BYTES = 256_000;

const encoder = new TextEncoder();

/** Size of a value as JSON, in bytes of UTF-8. */
const bytesOf = (value: unknown) => encoder.encode(JSON.stringify(value)).byteLength;

/**
 * In order, nothing left out: runs of at most {@link MAX_BATCH_EVENTS} and {@link MAX_BATCH_BYTES}; what is larger than
 * that by itself travels alone. `eventsOf` gives the events of an item, which stay together.
 */
export function splitBatches<T>(items: readonly T[], eventsOf: (item: T) => readonly HarnessEvent[]): T[][] {
  const batches: T[][] = [];
  let batch: T[] = [];
  let [count, bytes] = [0, 0];
  for (const item of items) {
    const events = eventsOf(item);
    const size = bytesOf(events);
    if (batch.length > 0 && (count + events.length > MAX_BATCH_EVENTS || bytes + size > MAX_BATCH_BYTES)) {
      batches.push(batch);
      [batch, count, bytes] = [[], 0, 0];
    }
    batch.push(item);
    count += events.length;
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
