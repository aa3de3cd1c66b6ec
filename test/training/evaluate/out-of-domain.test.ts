/** The out-of-domain score on three words, with encoders that are tables. */
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../training/data/seeded.ts';
import { outOfDomain } from '../../../training/evaluate/out-of-domain.ts';

const glosses = [
  { gloss: 'a large cat', lemma: 'tiger' },
  { gloss: 'a striped cat', lemma: 'tiger' },
  { gloss: 'a large river', lemma: 'stream' },
  { gloss: 'a deep feeling', lemma: 'love' },
];
const table =
  (vectors: Readonly<Record<string, readonly [number, number, number]>>) => async (texts: readonly string[]) =>
    Float32Array.from(texts.flatMap((text) => [...vectors[text]!]));

describe('outOfDomain', () => {
  it('searches the word of each gloss among the distinct words, all as the teacher embeds them', async () => {
    const result = await outOfDomain({
      glosses,
      dimension: 3,
      documents: table({ tiger: [1, 0, 0], stream: [0, 1, 0], love: [0, 0, 1] }),
      teacher: table({
        'a large cat': [0.9, 0.3, 0],
        'a striped cat': [0.9, 0, 0.3],
        'a large river': [0, 1, 0],
        // Second after tiger.
        'a deep feeling': [0.8, 0, 0.6],
      }),
      student: table({
        'a large cat': [0.9, 0.3, 0],
        // Third and last.
        'a striped cat': [0.1, 0.7, 0.5],
        'a large river': [0.7, 0.6, 0],
        'a deep feeling': [0.8, 0, 0.6],
      }),
      samples: 50,
      random: seeded(1),
    });
    expect(result).toMatchObject({ queries: 4, pool: 3, teacher: { accuracy1: 0.75 }, student: { accuracy1: 0.25 } });
    expect(result.teacher.mrr10).toBeCloseTo((1 + 1 + 1 + 1 / 2) / 4, 12);
    expect(result.student.mrr10).toBeCloseTo((1 + 1 / 3 + 1 / 2 + 1 / 2) / 4, 12);
    expect(result.kept.accuracy1).toBeCloseTo(1 / 3, 12);
    expect(result.kept.interval.mrr10[0]).toBeLessThanOrEqual(result.kept.mrr10);
  });
});
