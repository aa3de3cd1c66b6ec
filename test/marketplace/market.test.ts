import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createMarket } from '../../marketplace/market.ts';
import type { Query } from '../../marketplace/queries.ts';
import { RELEVANT } from '../../marketplace/relevance.ts';
import { isFunctionWord, plural, stem, tokens } from '../../marketplace/word-forms.ts';
import { Ad } from '../../shared/contract/ads.ts';
import { DEFAULT_CONFIG } from '../../shared/defaults.ts';
import { normalize } from '../../shared/text.ts';
import { findPhrases, sortedWords } from './word-runs.ts';

const market = createMarket({ seed: 1 });
const { queries, catalogue, concepts, relevance, heldOut } = market;
const everything = [...queries.train, ...queries.validation, ...queries.test];
const conceptOf = (senseKey: string) => market.wordNet.bySenseKey(senseKey).id;
const adText = (ad: Ad) => [ad.title, ad.description, ...ad.keywords.map(({ text }) => text)].join(' ');

/**
 * SHA-256 of `catalogue.jsonl` for seed 1. The published bundle holds teacher vectors of exactly these ads: whoever changes
 * the catalogue on purpose takes the new digest from `npm run market -- --json` and publishes the bundle anew.
 */
const CATALOGUE_SHA256 = 'f92cb60cbf0ad2e649af7521ceecba7d868ff01553779cb188deb901d7b9c76a';

describe('the catalogue', () => {
  it('is the one that the published bundle has vectors for', () => {
    const lines = market.ads.map((ad) => `${JSON.stringify(ad)}\n`).join('');
    expect(createHash('sha256').update(lines).digest('hex')).toBe(CATALOGUE_SHA256);
  });

  it('holds at least 20,000 ads over at least 2,000 concepts', () => {
    expect(market.ads.length).toBeGreaterThanOrEqual(20_000);
    expect(new Set(catalogue.map(({ conceptId }) => conceptId)).size).toBeGreaterThanOrEqual(2_000);
  });

  it('keeps to the contract, every ad', () => {
    const broken = market.ads.flatMap((ad) => {
      const result = Ad.safeParse(ad);
      return result.success ? [] : [{ id: ad.id, issue: result.error.issues[0]!.message }];
    });
    expect(broken).toEqual([]);
    expect(new Set(market.ads.map(({ id }) => id)).size).toBe(market.ads.length);
  });

  it('sells in known markets, at bids over the reserve, at addresses that cannot exist', () => {
    const { markets, auction } = DEFAULT_CONFIG;
    const odd = market.ads.filter(
      (ad) =>
        ad.markets.some((key) => !markets.includes(key)) ||
        ad.bidMicros < auction.reserveMicros ||
        ad.dailyBudgetMicros < ad.bidMicros ||
        !new URL(ad.landingUrl).hostname.endsWith('.example'),
    );
    expect(odd).toEqual([]);
    for (const match of ['exact', 'phrase', 'broad']) {
      expect(market.ads.some(({ keywords }) => keywords.some((keyword) => keyword.match === match))).toBe(true);
    }
    expect(market.ads.some(({ status }) => status === 'paused')).toBe(true);
  });

  it('gives every sold concept ten active ads in the home market', () => {
    const home = DEFAULT_CONFIG.markets[0]!;
    const live = Map.groupBy(
      catalogue.filter(({ ad }) => ad.status === 'active' && ad.markets.includes(home)),
      ({ conceptId }) => conceptId,
    );
    const sold = [...concepts.values()].filter((concept) => concept.sold);
    expect(sold.filter(({ id }) => (live.get(id)?.length ?? 0) < 10)).toEqual([]);
  });
});

describe('relevance', () => {
  /** Grade of the first ad about one concept for a query about another. */
  const grade = (wanted: string, offered: string) => {
    const { ad } = catalogue.find(({ conceptId }) => conceptId === conceptOf(offered))!;
    return relevance.grade({ targets: [conceptOf(wanted)], attributes: [] }, ad.id);
  };

  it.each([
    ['the same', 'sofa%1:06:00::', 'sofa%1:06:00::', 3],
    ['narrower', 'chair%1:06:00::', 'armchair%1:06:00::', 2],
    ['narrower, over several steps', 'furniture%1:06:00::', 'sofa%1:06:00::', 2],
    ['broader', 'armchair%1:06:00::', 'chair%1:06:00::', 1],
    ['a sibling', 'guitar%1:06:00::', 'banjo%1:06:00::', 1],
    ['unrelated', 'sofa%1:06:00::', 'apple%1:13:00::', 0],
    ['unrelated, in one department', 'sofa%1:06:00::', 'pillow%1:06:00::', 0],
  ])('%s', (_, wanted, offered, expected) => expect(grade(wanted, offered)).toBe(expected));

  it('takes the best of several meanings', () => {
    const { ad } = catalogue.find(({ conceptId }) => conceptId === conceptOf('sofa%1:06:00::'))!;
    const targets = [conceptOf('apple%1:13:00::'), conceptOf('sofa%1:06:00::')];
    expect(relevance.grade({ targets, attributes: [] }, ad.id)).toBe(3);
  });

  it('caps ads of another colour or brand, and only those', () => {
    const targets = [conceptOf('sofa%1:06:00::')];
    const colored = catalogue.find(
      ({ conceptId, attributes }) => conceptId === targets[0] && attributes.some(({ kind }) => kind === 'color'),
    )!;
    const color = colored.attributes.find(({ kind }) => kind === 'color')!;
    const gradeFor = (key: string, brand = colored.brand) =>
      relevance.grade({ targets, attributes: [{ ...color, key }], brand }, colored.ad.id);
    expect(gradeFor(color.key)).toBe(3);
    expect(gradeFor('another colour')).toBe(2);
    expect(gradeFor(color.key, 'Another brand')).toBe(2);
  });

  it('judges the active ads of the market, best first', () => {
    for (const query of market.random('judged').sample(everything, 200)) {
      const judged = market.judge(query);
      expect(judged.every(({ item }) => item.ad.status === 'active' && item.ad.markets.includes(query.market))).toBe(
        true,
      );
      expect(judged.every(({ item, grade }) => grade >= 1 && market.grade(query, item.ad.id) === grade)).toBe(true);
      const grades = judged.map((judgement) => judgement.grade);
      expect(grades).toEqual([...grades].sort((a, b) => b - a));
    }
  });

  it('grades an unknown ad 0', () => expect(market.grade(queries.test[0]!, 'ad-none')).toBe(0));
});

describe('the query log', () => {
  it('is as large as promised', () => {
    expect(queries.train.length).toBeGreaterThanOrEqual(100_000);
    expect(queries.validation.length).toBeGreaterThanOrEqual(2_800);
    expect(queries.test.length).toBeGreaterThanOrEqual(3_800);
    expect(queries.test.filter(({ slice }) => slice === 'extrapolation').length).toBeGreaterThanOrEqual(900);
  });

  it('has distinct phrasings, and Zipf frequencies', () => {
    expect(new Set(everything.map(({ text }) => normalize(text))).size).toBe(everything.length);
    const { train } = queries;
    for (const rank of [1, 10, 100, 1_000]) {
      expect(train[rank - 1]!.frequency).toBeGreaterThan(train[rank * 2 - 1]!.frequency);
    }
    expect(train.at(-1)!.frequency).toBe(1);
  });

  it('has every kind of phrasing in every split', () => {
    const kinds = ['attribute', 'brand', 'broader', 'gloss', 'modifier', 'name', 'order', 'plural', 'synonym', 'typo'];
    for (const split of ['train', 'validation', 'test'] as const) {
      expect([...new Set(queries[split].map(({ kind }) => kind))].sort()).toEqual(kinds);
    }
  });

  it('asks for what is sold: ten relevant ads for every test query', () => {
    const poor = queries.test.filter((query) => relevance.countRelevant(query.intent.targets, query.market) < 10);
    expect(poor).toEqual([]);
  });

  it('has words that no relevant ad uses', () => {
    const overlaps = (query: Query) => {
      const asked = new Set(tokens(query.text).map(stem));
      return market
        .judge(query)
        .filter(({ grade }) => grade >= RELEVANT)
        .some(({ item }) => tokens(adText(item.ad)).some((word) => asked.has(stem(word))));
    };
    const synonyms = queries.test.filter(({ kind }) => kind === 'synonym');
    const missed = synonyms.filter((query) => !overlaps(query));
    expect(missed.length / synonyms.length).toBeGreaterThan(0.4);
    expect(queries.test.filter((query) => !overlaps(query)).length / queries.test.length).toBeGreaterThan(0.1);
  });
});

describe('advertisers', () => {
  it('do not use the names that are the shoppers alone', () => {
    const synonyms = everything.filter(({ kind, intent }) => kind === 'synonym' && intent.targets.length === 1);
    const byConcept = Map.groupBy(catalogue, ({ conceptId }) => conceptId);
    const leaks = synonyms.filter(({ text, conceptId }) => {
      const own = byConcept.get(conceptId)!;
      const used = new Set(own.flatMap(({ ad }) => tokens(ad.keywords[0]!.text).map(stem)));
      const hidden = tokens(text).map(stem);
      // A hidden name may share a word with a used one (laptop computer); only wholly new words can leak.
      if (hidden.some((word) => used.has(word) || isFunctionWord(word))) return false;
      return own.some(({ ad }) => {
        const words = new Set(tokens(`${ad.title} ${ad.description}`).map(stem));
        return hidden.every((word) => words.has(word));
      });
    });
    expect(leaks.map(({ text }) => text)).toEqual([]);
  });
});

describe('the splits', () => {
  it('share no phrasing, whatever the order of the words', () => {
    const keys = (list: readonly Query[]) => new Set(list.map(({ text }) => sortedWords(text)));
    const train = keys(queries.train);
    const validation = keys(queries.validation);
    const test = keys(queries.test);
    expect([...train.intersection(test)]).toEqual([]);
    expect([...train.intersection(validation)]).toEqual([]);
    expect([...validation.intersection(test)]).toEqual([]);
  });

  it('test interpolation on concepts that training has seen, and extrapolation on concepts that it has not', () => {
    const seen = new Set(queries.train.map(({ conceptId }) => conceptId));
    for (const { slice, conceptId } of queries.test) expect(seen.has(conceptId)).toBe(slice === 'interpolation');
    expect(heldOut.ids.filter((id) => seen.has(id))).toEqual([]);
  });

  it('say nothing of held-out concepts outside the extrapolation slice', () => {
    const names = heldOut.ids.flatMap((id) => concepts.get(id)!.names.map(({ text }) => text));
    const forms = [...names, ...names.map(plural)];
    const outside = everything.filter(({ slice }) => slice === 'interpolation').map(({ text }) => text);
    expect(findPhrases(forms, outside)).toEqual([]);
    const inside = everything.filter(({ slice }) => slice === 'extrapolation').map(({ text }) => text);
    expect(findPhrases(forms, inside).length).toBeGreaterThan(heldOut.ids.length / 2);
  });
});
