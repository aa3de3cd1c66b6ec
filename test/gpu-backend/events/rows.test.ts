import { expect, test } from 'vitest';
import { exposureRows, impressionRow, ofType } from '../../../gpu-backend/events/rows.ts';
import { sampleClick, sampleConversion, sampleImpression } from '../../setup/samples.ts';

const one = { experiment: 'one', layer: 'retrieval', arm: 'a' };
const exposures = (change: Parameters<typeof sampleImpression>[0]) =>
  exposureRows(sampleImpression({ unitId: 'visitor', ...change })).map((row) => [
    row.experiment,
    row.arm,
    row.unitId,
    row.triggered,
  ]);

test('an assignment is an exposure of its own unit, once an experiment, with what is known of its trigger', () => {
  const assignments = [
    one,
    { ...one, arm: 'b' },
    { experiment: 'two', layer: 'ranking', arm: 'c', unitId: 'us@7', washout: false, triggered: false },
  ];
  expect(exposures({ assignments })).toEqual([
    ['one', 'b', 'visitor', null],
    ['two', 'c', 'us@7', false],
  ]);
});

test('what quality assurance looked at is no exposure, nor is what was shown while an arm before wore off', () => {
  expect(exposures({ assignments: [one], qa: true })).toEqual([]);
  expect(exposures({ assignments: [{ ...one, washout: true }] })).toEqual([]);
});

test('instants are UTC, what is absent is null, and slots are counted', () => {
  const row = impressionRow(sampleImpression({ atMs: Date.UTC(2026, 0, 2, 3) }));
  expect(row.at.toISOString()).toBe('2026-01-02T03:00:00.000Z');
  expect(row).toMatchObject({ consent: null, qa: false, device: null, colo: null, reason: null });
  expect(row.slotCount).toBe(row.slots.length);
});

test('events are told by their type, in order', () => {
  const events = [sampleClick(), sampleImpression(), sampleConversion(), sampleClick({ id: 'impression-1:2' })];
  expect(ofType(events, 'click').map(({ id }) => id)).toEqual(['impression-1:1', 'impression-1:2']);
});
