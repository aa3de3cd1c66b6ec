import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, splitBatches } from '../../edge/batches.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

const sized = (bytes: number, i: number): HarnessEvent => ({
  type: 'conversion',
  id: `event-${i}`,
  atMs: 1,
  clickId: 'ü'.repeat(bytes / 2),
  valueMicros: 1,
});
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

it('keeps order and every event, within the limits unless one event alone is beyond them', () => {
  const sizes = fc.array(fc.oneof(fc.nat(300), fc.nat(120_000), fc.constant(400_000)), { maxLength: 250 });
  fc.assert(
    fc.property(sizes, (all) => {
      const events = all.map(sized);
      const batches = splitBatches(events, (event) => event);
      expect(batches.flat()).toEqual(events);
      for (const [i, batch] of batches.entries()) {
        const bytes = batch.reduce((sum, event) => sum + bytesOf(event), 0);
        expect(batch.length).toBeLessThanOrEqual(MAX_BATCH_MESSAGES);
        if (batch.length > 1) expect(bytes).toBeLessThanOrEqual(MAX_BATCH_BYTES);
        // No batch could have taken the next one's first.
        const next = batches[i + 1]?.[0];
        if (next !== undefined)
          expect(batch.length === MAX_BATCH_MESSAGES || bytes + bytesOf(next) > MAX_BATCH_BYTES).toBe(true);
      }
    }),
    { numRuns: 30 },
  );
});
