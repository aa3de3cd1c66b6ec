import { describe, expect, it } from 'vitest';
import { CoverageIndex } from '../../../shared/coverage-index.ts';
import { withoutRarestWord } from '../../../training/evaluate/forgotten-word.ts';
import type { JudgedQuery } from '../../../training/evaluate/market.ts';

const ad = (title: string) => ({ title, keywords: '', description: '' });
const index = new CoverageIndex([ad('red sofa'), ad('red lamp'), ad('red lamp shade')]);
const query = (normalized: string) => ({ id: normalized, normalized, judgements: new Map() }) as unknown as JudgedQuery;
const left = (normalized: string) => withoutRarestWord([query(normalized)], index).map(({ text }) => text);

describe('withoutRarestWord', () => {
  it('leaves out the word that the fewest ads have, wherever and in whatever form it stands', () => {
    expect(left('red sofa')).toEqual(['red']);
    expect(left('sofas for red rooms, sofa')).toEqual(['for red rooms,']);
    expect(left('red lamp')).toEqual(['red']);
  });

  it('looks at words of ads only: what no ad has is no evidence for any', () => {
    expect(left('nice lamp')).toEqual(['nice']);
    expect(left('nice thing')).toEqual([]);
  });

  it('leaves nothing of a query of one word, and keeps the query that it came from', () => {
    expect(left('sofa')).toEqual([]);
    const asked = query('red sofa');
    expect(withoutRarestWord([asked], index)[0]!.query).toBe(asked);
  });
});
