import { expect, it } from 'vitest';
import { exposuresOf, idOf, ledgerEntry } from '../../../edge/outbox/ledger-entry.ts';
import { sampleClick, sampleImpression } from '../../setup/samples.ts';

const assignments = [
  { experiment: 'one', layer: 'retrieval', arm: 'a' },
  { experiment: 'two', layer: 'ranking', arm: 'b', washout: true },
  { experiment: 'three', layer: 'pricing', arm: 'c', washout: false },
];
const impression = sampleImpression({ id: 'impression-1', assignments, bot: false });

it('has the arms that an impression is an exposure to, and reads them back with the minute', () => {
  const entry = ledgerEntry(impression);
  expect(entry).toBe('impression-1 one/a three/c');
  expect(idOf(entry)).toBe('impression-1');
  expect(exposuresOf(entry, 60_000)).toEqual([
    { impressionId: 'impression-1', experiment: 'one', arm: 'a', atMs: 60_000 },
    { impressionId: 'impression-1', experiment: 'three', arm: 'c', atMs: 60_000 },
  ]);
});

it.each([
  ['of a bot', { ...impression, bot: true }],
  ['forced for quality assurance', { ...impression, qa: true }],
  ['that is a click', sampleClick({ id: 'impression-1' })],
])('is the id alone for an event %s', (_, event) => {
  const entry = ledgerEntry(event);
  expect([entry, idOf(entry), exposuresOf(entry, 0)]).toEqual(['impression-1', 'impression-1', []]);
});
