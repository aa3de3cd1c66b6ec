import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LexicalIndex } from '../../../gpu-backend/retrieval/lexical.ts';
import { LexicalSegmentBuilder, readSegment } from '../../../gpu-backend/retrieval/lexical-segment.ts';
import { countIn, FIELDS, indexedAd } from '../../../gpu-backend/retrieval/lexical-terms.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import { terms } from '../../../shared/coverage.ts';
import { hash32 } from '../../../shared/experiment.ts';
import { readSafetensors, writeSafetensors } from '../../../shared/safetensors.ts';
import { MiniSearchIndex } from '../../fixtures/minisearch-index.ts';
import { sampleAd } from '../../setup/samples.ts';

const ad = (id: string, change: Partial<Ad>): Ad => sampleAd({ id, description: '', keywords: [], ...change });

const ADS = [
  ad('bottle-steel', { title: 'Steel bottle', description: 'Free delivery.' }),
  ad('bottle-glass', { title: 'Glass bottles', keywords: [{ text: 'carafe', match: 'broad' }] }),
  ad('cup', { title: 'Cup', description: 'Goes with any bottle.' }),
  ad('dress', { title: 'Été dresses', description: 'Free delivery.' }),
  ad('ferry', { title: 'Ferries to the islands', description: 'Free delivery.' }),
];

function indexOf(ads: readonly Ad[]): LexicalIndex {
  const index = new LexicalIndex();
  for (const [slot, entry] of ads.entries()) index.put(slot, entry);
  return index;
}

/** As a generation holds them: written, and read back. */
function segmentOf(ads: readonly Ad[]): LexicalIndex {
  const builder = new LexicalSegmentBuilder();
  for (const entry of ads) builder.add(indexedAd(entry));
  return new LexicalIndex(readSegment(builder.image(), 'test'));
}

const options = (ads: readonly Ad[], accept: (slot: number) => boolean = () => true, limit = 10) => ({
  limit,
  accept,
  tieKey: (slot: number) => ads[slot]!.id,
});

function search(query: string, accept?: (slot: number) => boolean): [id: string, relevance: number][] {
  return indexOf(ADS)
    .search(query, options(ADS, accept))
    .hits.map(({ slot, relevance }) => [ADS[slot]!.id, relevance]);
}

const ids = (query: string) => search(query).map(([id]) => id);

describe('terms', () => {
  it('folds plurals and accents, drops stop words, symbols and repetitions', () => {
    expect(terms('the dresses, dress & ferries of été | buses')).toEqual(['dress', 'ferry', 'ete', 'buse']);
    expect(terms('watches watch boxes box axes axe brushes')).toEqual(['watch', 'box', 'ax', 'brush']);
    expect(terms('glass bus genius gas ties goes')).toEqual(['glass', 'bus', 'genius', 'gas', 'ty', 'goes']);
    expect(terms('for the and of')).toEqual([]);
    expect(terms('')).toEqual([]);
  });
});

describe('the lexical index', () => {
  it('finds any of the words, the best match first, singular or plural, accent or none', () => {
    expect(ids('steel bottles')).toEqual(['bottle-steel', 'bottle-glass', 'cup']);
    expect(ids('ferry')).toEqual(['ferry']);
    expect(ids('ete')).toEqual(['dress']);
    expect(ids('carafe')).toEqual(['bottle-glass']);
  });

  it('matches whole words only', () => {
    expect(ids('bott')).toEqual([]);
    expect(ids('botle')).toEqual([]);
  });

  it('answers nothing for nothing, stop words and symbols', () => {
    for (const query of ['', ' ', 'the of and', '| & !?', '💥']) expect(ids(query)).toEqual([]);
  });

  it('counts as relevance how much of what the query says the ad says', () => {
    const relevance = new Map(search('steel bottle'));
    expect(relevance.get('bottle-steel')).toBe(1);
    expect(relevance.get('bottle-glass')).toBeGreaterThan(0);
    expect(relevance.get('bottle-glass')).toBeLessThan(0.5); // the rarer word is missing
    expect(relevance.get('cup')).toBeLessThan(relevance.get('bottle-glass')!); // in the description only
    expect(new Map(search('zyx bottle')).get('bottle-steel')).toBeLessThan(0.5); // a word nobody has weighs most
  });

  it('returns only what is accepted', () => {
    expect(search('bottle', (slot) => slot !== 0).map(([id]) => id)).toEqual(['bottle-glass', 'cup']);
    expect(search('bottle', () => false)).toEqual([]);
  });

  it('breaks ties by ad id, whatever the order of insertion, in the file, behind it and between the two', () => {
    const same = ['c', 'a', 'e', 'b', 'd'].map((id) => ad(id, { title: 'Red kettle' }));
    for (const order of [same, same.toReversed()]) {
      for (const filed of [0, 2, order.length]) {
        const index = segmentOf(order.slice(0, filed));
        for (const [slot, entry] of order.entries()) if (slot >= filed) index.put(slot, entry);
        const found = (limit: number) =>
          index.search('kettle', options(order, undefined, limit)).hits.map(({ slot }) => order[slot]!.id);
        expect(found(10)).toEqual(['a', 'b', 'c', 'd', 'e']);
        expect(found(3)).toEqual(['a', 'b', 'c']);
      }
    }
  });

  it('cuts to the best of many', () => {
    const many = Array.from({ length: 400 }, (_, i) =>
      ad(`k${String(i).padStart(3, '0')}`, {
        title: i % 10 === 0 ? 'kettle' : 'kettle with a long title of other words',
      }),
    );
    const hits = indexOf(many).search('kettle', options(many, undefined, 40)).hits;
    expect(hits.map(({ slot }) => slot)).toEqual(Array.from({ length: 40 }, (_, i) => i * 10));
  });

  it('lets a common word add to the score of what the rarer one finds, and find by itself when it is alone', () => {
    const stock = Array.from({ length: 600 }, (_, i) =>
      ad(`a${i}`, { title: i < 3 ? 'copper kettle' : `thing ${i}`, description: i % 2 === 0 ? 'delivery' : '' }),
    );
    const index = indexOf(stock);
    const found = (query: string) => index.search(query, options(stock, undefined, 600)).hits.map(({ slot }) => slot);
    expect(found('kettle delivery')).toEqual([0, 2, 1]);
    expect(found('delivery')).toHaveLength(300);
    expect(found('zyx delivery')).toHaveLength(300);
  });

  it('calls a word common from the 257th ad on that has it, where the catalogue is small', () => {
    const stock = Array.from({ length: 600 }, (_, i) =>
      ad(`a${i}`, { title: `${i < 3 ? 'kettle' : 'thing'}${i < 256 ? ' boxed' : ''}${i < 257 ? ' new' : ''}` }),
    );
    const found = (query: string) => indexOf(stock).search(query, options(stock, undefined, 600)).hits.length;
    expect([found('kettle boxed'), found('kettle new')]).toEqual([256, 3]);
  });

  it('searches by the rarest word alone where all are common, and notices when that changes', () => {
    const stock = Array.from({ length: 1000 }, (_, i) =>
      ad(`a${i}`, { title: `${i % 2 === 0 ? 'next' : 'same'} ${i % 3 === 0 ? 'day' : 'week'}` }),
    );
    const index = indexOf(stock);
    const found = (query: string) => index.search(query, options(stock, undefined, 1000)).hits.map(({ slot }) => slot);
    expect(found('next day').toSorted((a, b) => a - b)).toEqual(Array.from({ length: 334 }, (_, i) => 3 * i));
    expect(found('next day')[0]! % 6).toBe(0);
    for (let i = 0; i < 900; i++) {
      if (i % 3 !== 0) index.put(i, ad(`a${i}`, { title: `${i % 2 === 0 ? 'next' : 'same'} day` }));
    }
    expect(found('next day').every((slot) => slot % 2 === 0)).toBe(true);
  });

  it('counts a word in its own field however often another field says it', () => {
    for (const [f, { name, most }] of FIELDS.entries())
      for (const times of [most, most + 1, 3 * most]) {
        const said = Array.from({ length: times }, () => 'kettle').join(' ');
        const own = name === 'keywords' ? { keywords: [{ text: said, match: 'broad' as const }] } : { [name]: said };
        const packed = indexedAd(ad('a', { title: 'Thing', ...own })).counts.get('kettle')!;
        expect(FIELDS.map((field) => countIn(packed, field))).toEqual(FIELDS.map((_, at) => (at === f ? most : 0)));
      }
  });

  it('follows replacement and removal', () => {
    const index = indexOf(ADS);
    const own = [...ADS];
    own[0] = ad('bottle-steel', { title: 'Copper kettle' });
    index.put(0, own[0]);
    index.remove(2, own[2]!);
    index.remove(2, own[2]!);
    const found = (query: string) => index.search(query, options(own)).hits.map(({ slot }) => own[slot]!.id);
    expect(found('kettle')).toEqual(['bottle-steel']);
    expect(found('bottle')).toEqual(['bottle-glass']);
    expect(index.size).toBe(4);
  });

  const word = fc.constantFrom('red', 'Kettle', 'kettles', 'día', 'copper', 'the', 'delivery', '日本', 'x1');
  const text = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join(' '));
  const anyAd = fc.record({ title: text, description: text, keywords: fc.array(text, { maxLength: 3 }) });
  const adOf = (
    slot: number,
    { title, description, keywords }: { title: string; description: string; keywords: string[] },
  ) => ad(`a${slot}`, { title, description, keywords: keywords.map((own) => ({ text: own, match: 'broad' })) });

  /** Expects what the oracle finds among the ads present, score by score, and its best in its order. */
  function expectSame(index: LexicalIndex, own: ReadonlyMap<number, Ad>, query: string, limit = 1_000): void {
    const oracle = new MiniSearchIndex();
    for (const [slot, entry] of own) oracle.put(slot, entry);
    const expected = oracle.search(query);
    const { hits, coverage } = index.search(query, {
      limit,
      accept: () => true,
      tieKey: (slot) => own.get(slot)!.id,
      also: new Set(own.keys()),
    });
    expect(hits).toHaveLength(Math.min(limit, expected.size));
    const floor = [...expected.values()].map(({ score }) => score).sort((a, b) => b - a)[hits.length - 1]!;
    for (const { slot, score, relevance } of hits) {
      expect(score).toBeCloseTo(expected.get(slot)!.score, 9);
      expect(score).toBeGreaterThan(floor - 1e-9);
      expect(relevance).toBeCloseTo(expected.get(slot)!.relevance, 12);
    }
    expect([...coverage.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
  }

  it('scores as MiniSearch does, from the file, from memory and after any changes', () => {
    fc.assert(
      fc.property(
        fc.array(anyAd, { maxLength: 20 }),
        fc.array(fc.oneof(fc.record({ put: anyAd, at: fc.nat(30) }), fc.record({ remove: fc.nat(60) })), {
          maxLength: 20,
        }),
        text,
        (built, changes, query) => {
          const own = new Map(built.map((entry, slot) => [slot, adOf(slot, entry)]));
          const index = segmentOf([...own.values()]);
          expectSame(index, own, query);
          for (const change of changes) {
            if ('put' in change) {
              const slot = built.length + change.at;
              own.set(slot, adOf(slot, change.put));
              index.put(slot, own.get(slot)!);
            } else if (own.has(change.remove)) {
              // Twice is once.
              for (let turn = 0; turn < 2; turn++) index.remove(change.remove, own.get(change.remove)!);
              own.delete(change.remove);
            }
          }
          expect(index.size).toBe(own.size);
          expectSame(index, own, query);
        },
      ),
      { seed: 6, numRuns: 150 },
    );
  });

  it('scores as MiniSearch does where terms are common and the best are few of many', () => {
    const words = ['red', 'blue', 'kettle', 'copper', 'lamp', 'wooden'];
    const stock = Array.from({ length: 3_000 }, (_, i) =>
      ad(`a${i}`, {
        title: words.filter((_, w) => hash32(`${i}/${w}`) % (2 + 9 * w) === 0).join(' ') || 'thing',
        description: hash32(`d${i}`) % 3 === 0 ? 'red or blue kettle' : 'delivery',
      }),
    );
    const own = new Map(stock.entries());
    const index = segmentOf(stock);
    for (const query of [
      'red',
      'red kettle',
      'wooden copper lamp',
      'blue lamp delivery',
      'red blue kettle delivery thing',
    ])
      for (const limit of [1, 7, 100]) expectSame(index, own, query, limit);
  });

  it('lets nobody put another ad in the place of a row', () => {
    expect(() => segmentOf(ADS).put(ADS.length - 1, ADS[0]!)).toThrow('slot 4: rows of the segment never change');
  });

  it('finds words of any script in the file, wherever its bytes lie', () => {
    const stock = ['𠮷野', '﨑陽', '日本', 'zoo', 'élan', 'ёлка'].map((title, i) => ad(`a${i}`, { title }));
    const builder = new LexicalSegmentBuilder();
    for (const entry of stock) builder.add(indexedAd(entry));
    const image = builder.image();
    const shifted = new Uint8Array(image.length + 1).subarray(1);
    shifted.set(image);
    for (const bytes of [image, shifted, Buffer.from(shifted.buffer, 1)]) {
      const index = new LexicalIndex(readSegment(bytes, 'test'));
      for (const [slot, { title }] of stock.entries())
        expect(index.search(title, options(stock)).hits, title).toMatchObject([{ slot, relevance: 1 }]);
    }
  });

  it('refuses a file whose parts do not fit each other', () => {
    const builder = new LexicalSegmentBuilder();
    builder.add(indexedAd(ADS[0]!));
    const other = new LexicalSegmentBuilder();
    for (const entry of ADS) other.add(indexedAd(entry));
    const { tensors, metadata } = readSafetensors(builder.image());
    tensors.set('shapeOf', readSafetensors(other.image()).tensors.get('shapeOf')!);
    expect(() => readSegment(writeSafetensors({ tensors, metadata }), 'lists')).toThrow(/lists: expected .* shapes/);
    expect(() => readSegment(builder.image().slice(0, -1), 'lists')).toThrow(/not a whole safetensors file/);
  });

  it('takes any query', () => {
    const index = indexOf(ADS);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (query) => {
        for (const { relevance, score } of index.search(query, options(ADS)).hits) {
          expect(relevance >= 0 && relevance <= 1 && score > 0).toBe(true);
        }
      }),
      { seed: 8, numRuns: 300 },
    );
    for (const query of ['constructor', '__proto__', 'toString hasOwnProperty']) expect(search(query)).toEqual([]);
  });
});
