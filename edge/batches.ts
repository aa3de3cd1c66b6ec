/** Lists of events cut to what one call carries: the limits of Cloudflare Queues, kept towards the backend too. */
import type { HarnessEvent } from '../shared/contract/events.ts';

export const MAX_BATCH_MESSAGES = 100;
export const MAX_BATCH_BYTES = 256_000;

const encoder = new TextEncoder();

/** Size of a value as JSON, in bytes of UTF-8. */
const bytesOf = (value: unknown) => encoder.encode(JSON.stringify(value)).byteLength;

/**
 * In order, nothing left out: runs of at most {@link MAX_BATCH_MESSAGES} and {@link MAX_BATCH_BYTES}; what is larger
 * than that by itself travels alone. `eventOf` tells the event of an item that carries one.
 */
export function splitBatches<T>(items: readonly T[], eventOf: (item: T) => HarnessEvent): T[][] {
  const batches: T[][] = [];
  let batch: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = bytesOf(eventOf(item));
    if (batch.length > 0 && (batch.length === MAX_BATCH_MESSAGES || bytes + size > MAX_BATCH_BYTES)) {
      batches.push(batch);
      [batch, bytes] = [[], 0];
    }
    batch.push(item);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
