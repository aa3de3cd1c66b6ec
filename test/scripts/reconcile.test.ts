import { expect, test } from 'vitest';
import { reconciliationText } from '../../scripts/reconcile.ts';

const minute = '2026-11-01T10:00:00.000Z';

test('a reconciliation is a line a minute, and names what is missing', () => {
  const text = reconciliationText({
    minutes: [{ minute, issued: 100, stored: 99, missing: 1 }],
    missing: [{ id: 'event-4711', minute, checks: 2 }],
    recent: 3,
    waiting: 4,
  });
  expect(text.split('\n')).toEqual([
    'minute (UTC)        issued    stored   missing',
    '2026-11-01 10:00       100        99         1',
    '',
    'Issued in the last minutes, not looked for yet: 3. Waiting in the outbox: 4.',
    'Missing: 1',
    '  event-4711  issued 2026-11-01 10:00, looked for 2 times',
  ]);
  expect(reconciliationText({ minutes: [], missing: [], recent: 0, waiting: 0 })).toContain('Nothing is missing.');
});
