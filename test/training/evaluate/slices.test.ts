/** The rules that put a query into a slice, on queries whose slices are worked by hand. */
import { describe, expect, it } from 'vitest';
import { normalize } from '../../../shared/text.ts';
import type { JudgedQuery } from '../../../training/evaluate/market.ts';
import { byOverlap, byTraffic, byWords, sliceQueries, sliceRules } from '../../../training/evaluate/slices.ts';
import { smallAds } from '../small-market.ts';

const query = (text: string, more: Partial<JudgedQuery> = {}): JudgedQuery => ({
  id: text,
  text,
  normalized: normalize(text),
  market: 'us',
  frequency: 1,
  slice: 'interpolation',
  kind: 'name',
  judgements: new Map(),
  ...more,
});

describe('byTraffic', () => {
  const asked = (frequencies: readonly number[]) => {
    const queries = frequencies.map((frequency, i) => query(`q${i}`, { frequency }));
    return queries.map(byTraffic(queries));
  };

  it('gives the head half of the traffic, head and torso 80 %', () => {
    // Before each: 0, 0.4, 0.6, 0.79, 0.9 of the traffic.
    expect(asked([40, 20, 19, 11, 10])).toEqual(['head', 'head', 'torso', 'torso', 'tail']);
  });

  it('keeps queries asked equally often together, in whatever order they come', () => {
    expect(asked([1, 1, 1, 1])).toEqual(['head', 'head', 'head', 'head']);
    expect(asked([10, 20, 40, 20, 10])).toEqual(['tail', 'head', 'head', 'head', 'tail']);
  });
});

describe('byWords', () => {
  it('counts words of the normalized query', () => {
    expect(['Socks', ' red  socks', 'red socks of men'].map((text) => byWords(query(text)))).toEqual([
      '1 word',
      '2 words',
      '3+ words',
    ]);
  });
});

describe('byOverlap', () => {
  const rule = byOverlap(smallAds());
  const judged = (text: string, grades: readonly [string, number][]) =>
    rule(query(text, { judgements: new Map(grades) }));

  it('looks for index terms of the query in title, keywords and description of relevant ads', () => {
    expect(judged('socks', [['ad-red-sock', 3]])).toBe('some');
    expect(judged('men', [['ad-red-shoe', 2]])).toBe('some');
    expect(judged('footwear', [['ad-red-shoe', 3]])).toBe('none');
  });

  it('does not count stop words, nor ads that are not relevant', () => {
    expect(judged('footwear for a', [['ad-red-shoe', 3]])).toBe('none');
    expect(
      judged('sock', [
        ['ad-red-sock', 1],
        ['ad-red-shoe', 3],
      ]),
    ).toBe('none');
  });
});

describe('sliceQueries', () => {
  it('puts every query into one slice of each group', () => {
    const queries = [
      query('sock', { frequency: 8, judgements: new Map([['ad-red-sock', 3]]) }),
      query('shoo', { frequency: 1, kind: 'typo', slice: 'extrapolation', judgements: new Map([['ad-red-shoe', 3]]) }),
      query('blue wool', { frequency: 1, kind: 'attribute', judgements: new Map([['ad-blue-wool', 3]]) }),
    ];
    const slices = sliceQueries(queries, sliceRules(queries, smallAds()));
    expect(slices).toEqual([
      { group: 'slice', name: 'extrapolation', rows: [1] },
      { group: 'slice', name: 'interpolation', rows: [0, 2] },
      { group: 'kind', name: 'attribute', rows: [2] },
      { group: 'kind', name: 'name', rows: [0] },
      { group: 'kind', name: 'typo', rows: [1] },
      { group: 'traffic', name: 'head', rows: [0] },
      { group: 'traffic', name: 'tail', rows: [1, 2] },
      { group: 'words', name: '1 word', rows: [0, 1] },
      { group: 'words', name: '2 words', rows: [2] },
      { group: 'overlap', name: 'none', rows: [1] },
      { group: 'overlap', name: 'some', rows: [0, 2] },
    ]);
  });
});
