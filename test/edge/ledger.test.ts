import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Ledger } from '../../edge/ledger.ts';
import { MAX_RECONCILED_IDS } from '../../shared/contract/reconciliation.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function ledgerOver(write?: (ids: readonly string[]) => Promise<void>) {
  const written: (readonly string[])[] = [];
  const errors: string[] = [];
  const kept: Promise<unknown>[] = [];
  const ledger = new Ledger({
    write: write ?? (async (ids) => void written.push(ids)),
    gatherMs: 1_000,
    timeoutMs: 5_000,
    now: Date.now,
    onError: (message) => errors.push(message),
  });
  const note = (id: string) => ledger.note(id, (work) => kept.push(work));
  return { ledger, note, written, errors, kept };
}

it('writes what a second brought in one call, for which only the first request stays', async () => {
  const { note, written, kept } = ledgerOver();
  note('a');
  await vi.advanceTimersByTimeAsync(999);
  note('b');
  expect([written, kept.length]).toEqual([[], 1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(written).toEqual([['a', 'b']]);
  note('c');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(written).toEqual([['a', 'b'], ['c']]);
});

it.each([
  ['ids', 'i', MAX_RECONCILED_IDS],
  ['characters', 'i'.repeat(1_000), 1_000],
])('writes every id once when there are more %s than one call carries', async (_, id, most) => {
  const { note, written } = ledgerOver();
  for (let i = 0; i < 2 * most + 1; i++) note(id);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(written.map(({ length }) => length)).toEqual([most, most, 1]);
});

it('goes on with the batch that is open when a full one before it is written', async () => {
  const { note, written, kept } = ledgerOver();
  for (let i = 0; i < MAX_RECONCILED_IDS; i++) note('full');
  await vi.advanceTimersByTimeAsync(500);
  note('next');
  await vi.advanceTimersByTimeAsync(500);
  note('after the first was written');
  await vi.advanceTimersByTimeAsync(500);
  expect([written[1], kept.length]).toEqual([['next', 'after the first was written'], 2]);
});

it('has the next request write what one that died had gathered, and all of it once', async () => {
  const { note, written, kept } = ledgerOver();
  note('of the dead');
  vi.clearAllTimers();
  await vi.advanceTimersByTimeAsync(2_000);
  note('joins');
  await vi.advanceTimersByTimeAsync(1);
  note('stands in');
  note('follows');
  expect([written, kept.length]).toEqual([[], 2]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(written).toEqual([['of the dead', 'joins', 'stands in', 'follows']]);
  note('anew');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(written[1]).toEqual(['anew']);
});

it('writes a batch once where its request was not dead but slow', async () => {
  const { note, written } = ledgerOver();
  note('slow');
  vi.setSystemTime(Date.now() + 2_001);
  note('stands in');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(written).toEqual([['slow', 'stands in']]);
});

describe('ids that could not be written', () => {
  /** A ledger whose first so many writes fail. */
  function failing(times: number, fail: () => Promise<never> = () => Promise.reject(new Error('away'))) {
    const tried: (readonly string[])[] = [];
    const over = ledgerOver((ids) => {
      tried.push(ids);
      return tried.length <= times ? fail() : Promise.resolve();
    });
    return { ...over, tried };
  }

  it('are tried again once by their own request, should none follow', async () => {
    const { ledger, note, tried, errors, kept } = failing(1);
    note('first');
    note('second');
    await vi.advanceTimersByTimeAsync(1_000);
    expect([tried.length, ledger.state]).toEqual([1, { noted: 0, waiting: 2, lost: 0 }]);
    expect(errors).toEqual(['issued ids wait for the ledger, the first of 2 is first']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(tried[1]).toEqual(['first', 'second']);
    expect([kept.length, ledger.state]).toEqual([1, { noted: 2, waiting: 0, lost: 0 }]);
  });

  it('go with the next batch, each once, until they are written', async () => {
    const { ledger, note, tried, errors } = failing(4);
    note('a');
    await vi.advanceTimersByTimeAsync(2_000);
    note('b');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(tried).toEqual([['a'], ['a'], ['a'], ['b']]);
    note('c');
    await vi.advanceTimersByTimeAsync(3_000);
    expect(tried.slice(4)).toEqual([['a', 'b'], ['c']]);
    expect([errors.length, ledger.state]).toEqual([1, { noted: 3, waiting: 0, lost: 0 }]);
  });

  it('are said to wait once an outage, and again in the next', async () => {
    let isAway = true;
    const { note, errors } = ledgerOver(() => (isAway ? Promise.reject(new Error('away')) : Promise.resolve()));
    for (const [id, away] of [
      ['a', true],
      ['b', true],
      ['c', false],
      ['d', true],
    ] as const) {
      isAway = away;
      note(id);
      await vi.advanceTimersByTimeAsync(2_000);
    }
    expect(errors.map((said) => said.split(' ').at(-1))).toEqual(['a', 'd']);
  });

  it('may have been written by a call that hangs, and are written again', async () => {
    const { ledger, note, tried } = failing(1, () => new Promise(() => undefined));
    note('a');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tried).toEqual([['a'], ['a']]);
    expect(ledger.state).toEqual({ noted: 1, waiting: 0, lost: 0 });
  });

  it.each([
    ['ids', 'a', MAX_RECONCILED_IDS],
    ['characters', 'a'.repeat(1_000), 1_000],
  ])('are given up, and said to be, where more %s wait than one call carries', async (_, id, most) => {
    const { ledger, note, errors } = failing(Number.POSITIVE_INFINITY);
    for (let i = 0; i < most; i++) note(id);
    note('b');
    await vi.advanceTimersByTimeAsync(60_000);
    note('c');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ledger.state).toEqual({ noted: 0, waiting: most, lost: 2 });
    expect(errors.slice(1)).toEqual([
      '1 issued ids are not in the ledger, the first is b',
      '1 issued ids are not in the ledger, the first is c',
    ]);
  });
});
