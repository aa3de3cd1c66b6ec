import { describe, expect, it } from 'vitest';
import { LexicalIndex } from '../../gpu-backend/retrieval/lexical.ts';
import { createMarket } from '../../marketplace/market.ts';
import { CoverageIndex, lexicalText } from '../../shared/coverage-index.ts';

describe('CoverageIndex', () => {
  it('is the coverage that the lexical retriever serves, ad by ad', () => {
    const market = createMarket({ seed: 1 });
    const ads = market.ads.slice(0, 2_000);
    const index = new LexicalIndex();
    for (const [slot, ad] of ads.entries()) index.put(slot, ad);
    const coverage = new CoverageIndex(ads.map(lexicalText));
    let compared = 0;
    for (const { normalized } of market.queries.validation.slice(0, 300)) {
      const offline = coverage.search(normalized);
      const { hits } = index.search(normalized, { limit: 50, accept: () => true, tieKey: (slot) => ads[slot]!.id });
      for (const { slot, relevance } of hits) expect(offline.get(slot)).toBeCloseTo(relevance, 10);
      compared += hits.length;
    }
    expect(compared).toBeGreaterThan(1_000);
  });
});
