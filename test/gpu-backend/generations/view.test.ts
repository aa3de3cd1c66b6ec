import { expect, test } from 'vitest';
import { Bookings } from '../../../gpu-backend/generations/bookings.ts';
import type { AdVector } from '../../../gpu-backend/generations/vectors.ts';
import { View } from '../../../gpu-backend/generations/view.ts';
import { float32Rows, quantize } from '../../../gpu-backend/index/vector-rows.ts';
import { KeywordIndex } from '../../../gpu-backend/retrieval/keyword.ts';
import { LexicalIndex } from '../../../gpu-backend/retrieval/lexical.ts';
import { LexicalSegmentBuilder, readSegment } from '../../../gpu-backend/retrieval/lexical-segment.ts';
import { indexedAd } from '../../../gpu-backend/retrieval/lexical-terms.ts';
import { NegativeIndex } from '../../../gpu-backend/retrieval/negatives.ts';
import type { Ad } from '../../../shared/contract/ads.ts';
import { clusteredVectors } from '../../fixtures/vectors.ts';
import { sampleAd } from '../../setup/samples.ts';

const [COUNT, DIMENSION] = [20, 16];
const { rows: matrix, queries } = clusteredVectors({
  ...{ count: COUNT, dimension: DIMENSION, clusters: 4, queries: 1, seed: 5 },
});
const query = queries[0]!;

function openView(): View {
  const ads = Array.from({ length: COUNT }, (_, row) => sampleAd({ id: `ad-${row}` }));
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
    members: new Map(),
    indices: new Map(),
    lexical: new LexicalIndex(readSegment(words.image(), 'test')),
    keywords: new KeywordIndex(),
    negatives: new NegativeIndex(),
    bookings,
  });
}

test('an ad keeps its slot while what it says and its vector stay, wherever the vector is from', () => {
  const view = openView();
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

test('cosines are those of each slot, in the generation and behind it; none of an ad without a vector', () => {
  const view = openView();
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
