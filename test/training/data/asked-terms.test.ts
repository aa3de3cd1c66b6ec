import { describe, expect, it } from 'vitest';
import { askedTerms } from '../../../training/data/asked-terms.ts';
import type { DatasetFolder } from '../../../training/data/records.ts';

const texts = (...of: string[]) => of.map((text, i) => ({ id: `${i}`, text, market: 'us', frequency: 1 }));
const dataset = (files: Record<string, object[]>) =>
  ({ read: async function* (file: string) { yield* files[file] ?? []; } }) as unknown as DatasetFolder; // biome-ignore format: one line says it

describe('askedTerms', () => {
  it('has the terms of the training queries, each once, and reads no held-out query', async () => {
    const asked = await askedTerms(
      dataset({
        'queries.train.jsonl': texts('Red Sofas', 'the sofa', 'Crème brûlée', 'secret table', 'table secret'),
        'queries.validation.jsonl': texts('Secret Table'),
        'queries.test.jsonl': [],
      }),
    );
    expect(asked).toEqual({ terms: 'brulee creme red sofa' });
  });
});
