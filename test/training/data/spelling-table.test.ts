import { describe, expect, it } from 'vitest';
import type { DatasetFolder, FileName } from '../../../training/data/records.ts';
import { spellingTable } from '../../../training/data/spelling-table.ts';

const ad = (title: string, ...keywords: string[]) => ({
  title,
  description: 'Order today.',
  keywords: keywords.map((text) => ({ text, match: 'broad' })),
});

function dataset(rows: Partial<Record<FileName, readonly unknown[]>>): Pick<DatasetFolder, 'read' | 'has'> {
  return {
    has: (file) => rows[file] !== undefined,
    read: async function* (file: FileName) {
      yield* rows[file] ?? [];
    } as DatasetFolder['read'],
  };
}
const texts = (...all: string[]) => all.map((text) => ({ text }));

describe('spellingTable', () => {
  it('suggests what is used, the commonest first, and knows what else is a word', async () => {
    const table = await spellingTable(
      dataset({
        'catalogue.jsonl': [ad('Oak Table', 'table'), ad('Table Lamp')],
        'queries.train.jsonl': texts('table', 'lamp', 'TABLE cheap', 'cheap', 'cheap tabel', 'tabel', 'lounge'),
        'queries.validation.jsonl': [],
        'queries.test.jsonl': [],
        'text.general.jsonl': texts('a lounge is a room'),
      }),
    );
    // Once an ad and once a text, however often in it; "tabel" is in two queries only.
    expect(table.suggested).toBe('table cheap lamp order today');
    expect(table.known).toBe('a is lounge oak room');
  });

  it('reads no held-out query, and does without general text', async () => {
    const table = await spellingTable(
      dataset({
        'catalogue.jsonl': [],
        'queries.train.jsonl': texts('secret words', 'words secret', 'secret words', 'open', 'open', 'open'),
        'queries.validation.jsonl': texts('Secret Words'),
        'queries.test.jsonl': [],
      }),
    );
    expect(table).toEqual({ suggested: 'open', known: '' });
  });
});
