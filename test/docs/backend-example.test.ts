/** The example in gpu-backend/README.md against the code: the lines there are the lines here, and they run. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadBundle } from '../../gpu-backend/encoder/bundle.ts';
import { createEncoder } from '../../gpu-backend/encoder/pool.ts';
import { Live } from '../../gpu-backend/generations/live.ts';
import { createPublisher, type PublisherOptions } from '../../gpu-backend/generations/publish.ts';
import { openGenerationStore } from '../../gpu-backend/generations/store.ts';
import { createVectorLadder } from '../../gpu-backend/generations/vectors.ts';
import { createRetrieval } from '../../gpu-backend/retrieval/retrieve.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import { NORMALIZER_VERSION } from '../../shared/text.ts';
import { testFolder } from '../fixtures/folder.ts';
import { smallBundle, smallCatalogue } from '../fixtures/small-house.ts';

interface Given {
  dir: string;
  generationsDir: string;
  readCatalogue: PublisherOptions['readCatalogue'];
  ad: Ad;
  revision: number;
}

async function example({ dir, generationsDir, readCatalogue, ad, revision }: Given) {
  // The example:
  const bundle = await loadBundle(dir);
  const encoder = await createEncoder({ bundle, device: 'cpu' }); // encoder.device says what runs, and why
  const live = new Live({ spaceId: encoder.spaceId });
  const store = await openGenerationStore({ dir: generationsDir });
  const ladder = createVectorLadder({ bundleAds: await bundle.readAds(), encoder });
  const publisher = createPublisher({ store, live, encoder, ladder, readCatalogue, now: Date.now });
  const { calibration } = bundle.manifest;
  const retrieval = createRetrieval({ encoder, live, calibration, newWords: await bundle.readNewWords() });

  const { number, problems } = await publisher.start(); // null: nothing on disk can be served
  if (number === null) await publisher.build();
  live.applyUpsert(ad, revision); // from here on no query sees the old ad
  // Its end.
  return { encoder, retrieval, problems };
}

test('stands there word for word', () => {
  const [, lines] = /\/\/ The example:\n(.*?) +\/\/ Its end\./s.exec(readFileSync(import.meta.filename, 'utf8'))!;
  const [, shown] = /^```ts\n(.*?)^```/ms.exec(readFileSync('gpu-backend/README.md', 'utf8'))!;
  expect(shown).toBe(lines!.replaceAll(/^ {2}/gm, ''));
});

test('serves what it builds, and not what was paused since', async () => {
  const at = testFolder('backend-example');
  await smallBundle(at('bundle'));
  const ads = smallCatalogue();
  const { encoder, retrieval, problems } = await example({
    ...{ dir: at('bundle'), generationsDir: at('generations') },
    readCatalogue: async () => ads.map((ad) => ({ ad, revision: 1 })),
    ...{ ad: { ...ads.find(({ id }) => id === 'sofa-green')!, status: 'paused' }, revision: 2 },
  });
  expect(problems).toEqual([]);
  const { candidates } = await retrieval.retrieve({
    ...{ query: 'sofa', normalizerVersion: NORMALIZER_VERSION, market: 'us', locale: 'en', deadlineMs: 60_000 },
    plan: { retrievers: ['dense', 'lexical'], k: 10, minRelevance: 0 },
  });
  const ids = candidates.map(({ adId }) => adId);
  expect(ids).toContain('sofa-red');
  expect(ids).not.toContain('sofa-green');
  await encoder.close();
});
