import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MAX_BATCH_BYTES, MAX_BATCH_EVENTS, splitBatches } from '../../edge/batches.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';

const sized = (bytes: number, i: number): HarnessEvent => ({
  type: 'conversion',
  id: `event-${i}`,
  atMs: 1,
  clickId: 'ü'.repeat(bytes / 2),
  valueMicros: 1,
});
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

it('keeps order, every event and what belongs together, within the limits unless one item alone is beyond them', () => {
  const sizes = fc.array(fc.oneof(fc.nat(300), fc.nat(120_000), fc.constant(400_000)), { maxLength: 8 });
  const message = fc.oneof(sizes, fc.array(fc.nat(300), { maxLength: 120 }));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 60 }), (all) => {
      const messages = all.map((each) => each.map(sized));
      const batches = splitBatches(messages, (events) => events);
      expect(batches.flat()).toEqual(messages);
      const count = (batch: HarnessEvent[][]) => batch.flat().length;
      const bytes = (batch: HarnessEvent[][]) => batch.reduce((sum, events) => sum + bytesOf(events), 0);
      for (const [i, batch] of batches.entries()) {
        if (batch.length > 1) {
          expect(count(batch)).toBeLessThanOrEqual(MAX_BATCH_EVENTS);
          expect(bytes(batch)).toBeLessThanOrEqual(MAX_BATCH_BYTES);
        }
        // No batch could have taken the next one's first.
        const next = batches[i + 1]?.[0];
        const grown = [...batch, next ?? []];
        if (next !== undefined) expect(count(grown) > MAX_BATCH_EVENTS || bytes(grown) > MAX_BATCH_BYTES).toBe(true);
      }
    }),
    { numRuns: 30 },
  );
});

it('fills batches to the last event', () => {
  const events = Array.from({ length: 2 * MAX_BATCH_EVENTS + 1 }, (_, i) => sized(2, i));
  const batches = splitBatches(events, (event) => [event]);
  expect(batches.map(({ length }) => length)).toEqual([MAX_BATCH_EVENTS, MAX_BATCH_EVENTS, 1]);
});

it('counts the events of what belongs together', () => {
  const messages = [60, 40, 1, 99, 2].map((count) => Array.from({ length: count }, (_, i) => sized(2, i)));
  const batches = splitBatches(messages, (events) => events);
  expect(batches.map((batch) => batch.map(({ length }) => length))).toEqual([[60, 40], [1, 99], [2]]);
});
