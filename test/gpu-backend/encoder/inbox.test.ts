import { describe, expect, it } from 'vitest';
import { Inbox } from '../../../gpu-backend/encoder/inbox.ts';

const NEVER = Number.POSITIVE_INFINITY;
/** One token a text. */
const run = (id: number, texts: string, deadlinesAtMs = [...texts].map(() => NEVER)) => ({
  ...{ id, deadlinesAtMs },
  texts: [...texts],
  cost: texts.length,
});

describe('Inbox', () => {
  it('joins the oldest runs that keep within the budget, in their order', () => {
    const inbox = new Inbox();
    for (const [id, texts] of ['ab', 'c', 'de', 'f'].entries()) inbox.add(run(id, texts));
    expect(inbox.take(4, 0)).toEqual({ runs: 2, size: 3, texts: ['a', 'b', 'c'], places: [0, 1, 2] });
    expect(inbox.take(4, 0)).toEqual({ runs: 2, size: 3, texts: ['d', 'e', 'f'], places: [0, 1, 2] });
    expect(inbox.empty).toBe(true);
  });

  it('takes one run however large', () => {
    const inbox = new Inbox();
    inbox.add(run(0, 'abcdef'));
    inbox.add(run(1, 'g'));
    expect(inbox.take(4, 0)).toMatchObject({ runs: 1, texts: [...'abcdef'] });
    expect(inbox.empty).toBe(false);
  });

  it('leaves out what was withdrawn or is too late, and keeps the places of the others', () => {
    const inbox = new Inbox();
    inbox.add(run(7, 'abc', [NEVER, 100, 101]));
    inbox.add(run(8, 'de'));
    inbox.withdraw(8, 0);
    inbox.withdraw(9, 0); // of a run that is not there
    expect(inbox.take(9, 100)).toEqual({ runs: 2, size: 5, texts: ['a', 'c', 'e'], places: [0, 2, 4] });
  });

  it('hands over a run that nobody wants any more too: it has to be answered', () => {
    const inbox = new Inbox();
    inbox.add(run(0, 'a', [1]));
    expect(inbox.take(9, 1)).toEqual({ runs: 1, size: 1, texts: [], places: [] });
    expect(inbox.empty).toBe(true);
  });

  it('does not withdraw from a run that was taken', () => {
    const inbox = new Inbox();
    inbox.add(run(0, 'ab'));
    const { texts } = inbox.take(9, 0);
    inbox.withdraw(0, 1);
    expect(texts).toEqual(['a', 'b']);
  });
});
