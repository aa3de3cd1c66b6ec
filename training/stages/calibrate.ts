/**
 * Calibration as a stage: the maps to relevance of a published bundle fitted anew, without training. What a cosine is
 * worth shifts with catalogue and judgements, and a bundle that was published before a map existed lacks it.
 */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecipeContext } from '../context.ts';
import { adsInOrder } from '../evaluate/market.ts';
import { fitRelevanceMaps, type RelevanceMaps } from '../evaluate/relevance-maps.ts';
import { openSearch, unitRows } from '../evaluate/search.ts';
import { manifestJson, readBundle } from '../publish.ts';
import { TextEncoderSession } from '../runner/encoder.ts';

/** @throws HarnessError where bundle and data do not belong together. */
export async function calibrateBundle({ config, dataset, say }: RecipeContext, folder: string): Promise<RelevanceMaps> {
  const { manifest, candidate } = await readBundle(folder);
  const { dimension, vectors, adIds, model } = candidate;
  const ads = adsInOrder(await dataset.all('catalogue.jsonl'), adIds);
  const rows = unitRows(vectors, dimension);
  const search = await openSearch(rows, dimension);
  const session = await TextEncoderSession.open(model, { ...candidate, threads: config.threads });
  say('fitting the relevance maps on validation queries');
  const maps = await fitRelevanceMaps({ dataset, ads, rows, search, encode: (texts) => session.encode(texts) });
  await Promise.all([session.close(), search.close()]);

  const { calibration, newWordsCalibration, cosineAdapter } = maps;
  const { newWords } = manifest;
  const next = {
    ...manifest,
    calibration,
    cosineAdapter,
    ...(newWords && { newWords: { ...newWords, calibration: newWordsCalibration } }),
  };
  const path = join(folder, 'manifest.json');
  await writeFile(`${path}.partial`, manifestJson(next));
  await rename(`${path}.partial`, path);
  return maps;
}
