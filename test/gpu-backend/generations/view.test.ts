import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bookings } from '../../../gpu-backend/generations/bookings.ts';
import { rowsById } from '../../../gpu-backend/generations/load.ts';
import type { AdVector } from '../../../gpu-backend/generations/vectors.ts';
import { View } from '../../../gpu-backend/generations/view.ts';
import { float32Rows, quantize } from '../../../gpu-backend/index/vector-rows.ts';
import { indexKeywords } from '../../../gpu-backend/retrieval/keyword.ts';
import { LexicalIndex } from '../../../gpu-backend/retrieval/lexical.ts';
import { LexicalSegmentBuilder, readSegment } from '../../../gpu-backend/retrieval/lexical-segment.ts';
import { indexedAd } from '../../../gpu-backend/retrieval/lexical-terms.ts';
import { adText } from '../../../shared/ad-text.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import { closeForm, literalForm, matches } from '../../../shared/match-type.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';
import { sampleAd } from '../../setup/samples.ts';

const [COUNT, DIMENSION] = [20, 16];
const { rows: matrix, queries } = clusteredVectors({
  ...{ count: COUNT, dimension: DIMENSION, clusters: 4, queries: 1, seed: 5 },
});
const query = queries[0]!;

const sampleAds = () => Array.from({ length: COUNT }, (_, row) => sampleAd({ id: `ad-${row}` }));

async function openView(ads: readonly Ad[] = sampleAds()): Promise<View> {
  const words = new LexicalSegmentBuilder();
  const bookings = new Bookings();
  for (const [row, ad] of ads.entries()) {
    words.add(indexedAd(ad));
    bookings.put(row, ad);
  }
  return new View({
    manifest: {
      ...{ format: 3, number: 1, createdAt: '', spaceId: 'space', dimension: DIMENSION, model: 'm', ads: COUNT },
      ...{
        markets: {},
        vectors: { uploaded: 0, bundle: COUNT, student: 0 },
        lexicalVersion: 1,
        copyOf: null,
        files: [],
      },
    },
    ads: ads.map((ad) => ({ ad, revision: 1, source: 'bundle' as const })),
    rows: float32Rows(matrix, DIMENSION),
    rowOf: await rowsById(ads.map((ad) => ({ ad }))),
    members: new Map(),
    indices: new Map(),
    lexical: new LexicalIndex(readSegment(words.image(), 'test')),
    ...(await indexKeywords(ads.map((ad) => ({ ad })))),
    bookings,
  });
}

test('an ad keeps its slot while what it says and its vector stay, wherever the vector is from', async () => {
  const view = await openView();
  const row = matrix.subarray(0, DIMENSION);
  const uploaded = (of: Float32Array): AdVector => ({ components: quantize(of), source: 'uploaded' });
  const slots = (revision: number, vector?: AdVector, change: Partial<Ad> = {}) => {
    view.put(sampleAd({ id: 'ad-0', ...change }), revision, vector);
    return [view.slots, view.vacant];
  };
  expect(slots(2, { components: quantize(row), source: 'bundle' }, { status: 'paused' })).toEqual([COUNT, 0]);
  expect(slots(3, uploaded(row))).toEqual([COUNT + 1, 1]);
  // Every change of the ad brings its upload along.
  expect(slots(4, uploaded(row), { status: 'paused' })).toEqual([COUNT + 1, 1]);
  expect(slots(5, uploaded(row.map((value) => 3 * value)), { bidMicros: 5 })).toEqual([COUNT + 1, 1]);
  expect(slots(6, uploaded(query), { bidMicros: 5 })).toEqual([COUNT + 2, 2]);
  expect(view.cosines([COUNT + 1], query).get(COUNT + 1)).toBeGreaterThan(0.99);
});

test('an ad that is booked in another market moves: the index of that market does not have it', async () => {
  const view = await openView();
  const slots = (revision: number, markets: string[]) => {
    view.put(sampleAd({ id: 'ad-0', markets }), revision);
    return [view.slots, view.delta];
  };
  expect(slots(2, ['gb', 'us', 'gb'])).toEqual([COUNT, 0]);
  expect(slots(3, ['us', 'gb', 'ca'])).toEqual([COUNT + 1, 1]);
  expect(slots(4, ['us', 'ca'])).toEqual([COUNT + 2, 1]);
  const near = view.dense(query, [], { market: 'ca', limit: 5, admits: () => true });
  expect(near.map(({ row }) => view.ad(row).id)).toEqual(['ad-0']);
});

test('of what was proposed, what is out by now is passed over; ties go by id, and no more than asked for come', async () => {
  const view = await openView();
  const scope = { market: 'us', admits: () => true };
  const dense = (limit: number) => view.dense(query, proposed, { ...scope, limit }).map(({ row }) => view.ad(row).id);
  const proposed = view.exact(query, { ...scope, limit: COUNT, from: 0, to: COUNT });
  const ids = proposed.map(({ row }) => `ad-${row}`);
  view.put(sampleAd({ id: ids[0]!, status: 'paused' }), 2);
  view.remove(ids[2]!);
  const left = ids.filter((_, i) => i !== 0 && i !== 2);
  expect(dense(5)).toEqual(left.slice(0, 5));
  for (const id of ['twin-b', 'twin-a'])
    view.put(sampleAd({ id, title: id }), 3, { components: quantize(query), source: 'uploaded' });
  expect(dense(4)).toEqual(['twin-a', 'twin-b', ...left.slice(0, 2)]);
});

test('an ad takes the vector that it lacks, and one from another source', async () => {
  const view = await openView();
  const [one, other] = [0, 1].map((row) => quantize(matrix.subarray(row * DIMENSION, (row + 1) * DIMENSION)));
  let revision = 1;
  const put = (title: string, vector?: AdVector) => {
    view.put(sampleAd({ id: 'new', title }), ++revision, vector);
    return view.cosines([view.slots - 1], query).get(view.slots - 1);
  };
  const [ofOne, ofOther] = [put('a', { components: one!, source: 'student' }), cosineOf(other!, query)];
  expect(ofOne).toBeCloseTo(cosineOf(one!, query), 2);
  expect(put('b')).toBeUndefined(); // the encoder was away
  expect(put('b', { components: one!, source: 'student' })).toBe(ofOne);
  expect(put('b', { components: other!, source: 'student' })).toBe(ofOne);
  expect(put('b', { components: other!, source: 'bundle' })).toBeCloseTo(ofOther, 2);
});

test('cosines are those of each slot, in the generation and behind it; none of an ad without a vector', async () => {
  const view = await openView();
  const components = Int8Array.from({ length: DIMENSION }, (_, i) => Math.round(127 * Math.sin(i)));
  view.put(sampleAd({ id: 'with' }), 2, { components, source: 'uploaded' });
  view.put(sampleAd({ id: 'without', title: 'words alone' }), 3);
  const cosine = (vector: ArrayLike<number>) => {
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a, (value, i) => value * b[i]!).reduce((x, y) => x + y, 0);
    return dot(vector, query) / Math.sqrt(dot(vector, vector) * dot(query, query));
  };
  const found = view.cosines([COUNT, 3, COUNT + 1, 17, 0], query);
  expect([...found.keys()].toSorted((a, b) => a - b)).toEqual([0, 3, 17, COUNT]);
  for (const row of [0, 3, 17])
    expect(found.get(row)).toBeCloseTo(cosine(matrix.subarray(row * DIMENSION, (row + 1) * DIMENSION)), 5);
  expect(found.get(COUNT)).toBeCloseTo(cosine(components), 3);
  expect(view.cosines([], query).size).toBe(0);
});

const cosineOf = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x, (value, i) => value * y[i]!).reduce((sum, each) => sum + each, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

const phrase = fc.constantFrom('red sofa', 'red lamp', 'sofa', 'green lamp');
const booked = phrase.map((text) => [{ text, match: 'broad' as const }]);
const anyAd = fc.record({
  id: fc.nat(7).map((number) => `ad-${number}`),
  title: phrase,
  keywords: booked,
  negatives: fc.oneof(fc.constant(undefined), booked),
  markets: fc.constantFrom(['us'], ['gb'], ['us', 'gb'], ['gb', 'us']),
  status: fc.constantFrom('active' as const, 'active' as const, 'paused' as const),
});
/** An ad that is put, perhaps with the vector of a row, or the number of one that is taken out. */
const anyChange = fc.oneof(
  { weight: 4, arbitrary: fc.record({ put: anyAd, vector: fc.option(fc.nat(COUNT - 1)) }) },
  { weight: 1, arbitrary: fc.record({ remove: fc.nat(7).map((number) => `ad-${number}`) }) },
);

test('whatever changed, searches find what a list of the ads as they are now says', async () => {
  const adOf = ({ negatives, markets, ...ad }: typeof anyAd extends fc.Arbitrary<infer T> ? T : never): Ad =>
    sampleAd({ description: '', ...ad, markets: [...markets], ...(negatives !== undefined && { negatives }) });
  const rowVector = (row: number) => matrix.subarray(row * DIMENSION, (row + 1) * DIMENSION);
  const built = fc.uniqueArray(anyAd, { selector: ({ id }) => id, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(built, fc.array(anyChange, { maxLength: 24 }), async (rows, changes) => {
      const first = rows.map(adOf);
      // Rows that are nobody's business fill the matrix.
      const others = Array.from({ length: COUNT - first.length }, (_, i) =>
        sampleAd({ id: `other-${i}`, status: 'paused' }),
      );
      const view = await openView([...first, ...others]);
      const now = new Map<string, { ad: Ad; vector: ArrayLike<number> | undefined; revision: number }>(
        [...first, ...others].map((ad, row) => [ad.id, { ad, vector: rowVector(row), revision: 1 }]),
      );
      for (const [i, change] of changes.entries()) {
        if ('remove' in change) {
          view.remove(change.remove);
          now.delete(change.remove);
          continue;
        }
        const ad = adOf(change.put);
        const given = change.vector === null ? undefined : quantize(rowVector(change.vector));
        const old = now.get(ad.id);
        view.put(ad, i + 2, given && { components: given, source: 'uploaded' });
        now.set(ad.id, {
          ad,
          vector: given ?? (old && adText(old.ad) === adText(ad) ? old.vector : undefined),
          revision: i + 2,
        });
      }
      expect([view.ads, [...view.ids()].sort()]).toEqual([now.size, [...now.keys()].sort()]);
      expect(view.slots - view.vacant).toBe(view.ads);
      const slotOf = new Map<string, number>();
      for (const asked of ['red sofa', 'green lamp'])
        for (const market of ['us', 'gb']) {
          const scope = { market, admits: () => true, heldOff: view.heldOff(asked) };
          const shown = [...now.values()].filter(
            ({ ad }) =>
              ad.status === 'active' &&
              ad.markets.includes(market) &&
              !ad.negatives?.some(({ text, match }) => matches(literalForm(text), literalForm(asked), match)),
          );
          const idsOf = (slots: readonly number[]) => slots.map((slot) => view.ad(slot).id).sort();
          const idsWhere = (is: (ad: Ad) => boolean) => shown.flatMap(({ ad }) => (is(ad) ? ad.id : [])).sort();
          const { hits } = view.keyword(asked, { ...scope, limit: 50, also: new Set() });
          expect(idsOf(hits.map(({ slot }) => slot))).toEqual(
            idsWhere(({ keywords }) =>
              keywords.some(({ text, match }) => matches(closeForm(text), closeForm(asked), match)),
            ),
          );
          const lexical = view.lexical(asked, { ...scope, limit: 50 }).hits.map(({ slot }) => slot);
          expect(idsOf(lexical)).toEqual(
            idsWhere(({ title, keywords }) =>
              asked.split(' ').some((word) => [title, keywords[0]!.text].some((own) => own.split(' ').includes(word))),
            ),
          );
          for (const slot of lexical) slotOf.set(view.ad(slot).id, slot);
          const proposed = view.exact(query, { ...scope, limit: 50, from: 0, to: COUNT + 9 });
          const near = view.dense(query, proposed, { ...scope, limit: 50 });
          expect(idsOf(near.map(({ row }) => row))).toEqual(idsWhere(({ id }) => now.get(id)!.vector !== undefined));
          for (const { row, score } of near)
            expect(score).toBeCloseTo(cosineOf(now.get(view.ad(row).id)!.vector!, query), 2);
        }
      for (const [id, { ad, revision }] of now) expect([view.find(id), view.revisionOf(id)]).toEqual([ad, revision]);
      const behind = [...slotOf.values()].filter((slot) => slot >= COUNT).length;
      expect(view.delta).toBeGreaterThanOrEqual(behind);
      for (const id of now.keys()) view.remove(id);
      expect([view.ads, view.delta]).toEqual([0, 0]);
    }),
    { seed: 3, numRuns: 150 },
  );
});
