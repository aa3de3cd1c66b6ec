/** The catalogue as the recipe sees it: ads, what the teacher reads of each, and the teacher's vectors of them. */
import { adText } from '../../shared/ad-text.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import type { RecipeContext } from '../context.ts';
import { openTargets } from '../phases/prepare.ts';
import type { Teacher } from '../teacher/teacher.ts';

export interface CatalogueVectors {
  readonly ads: readonly Ad[];
  /** What the teacher reads of each. */
  readonly texts: readonly string[];
  /** float32 [ads, dimension], rows of length 1. */
  readonly vectors: Float32Array;
}

/** What the teacher reads of each ad: one line. */
export const adTexts = (ads: readonly Ad[]): string[] => ads.map((ad) => adText(ad).replaceAll('\n', ' '));

/** The teacher's vectors of the catalogue; those that are on disk are not computed again. */
export async function catalogueVectors(
  { config, dataset }: RecipeContext,
  teacher: Teacher,
): Promise<CatalogueVectors> {
  const ads = await dataset.all('catalogue.jsonl');
  const texts = adTexts(ads);
  const { parts } = config.data;
  const targets = openTargets(teacher, {
    role: 'document',
    parts,
    label: 'ad vectors',
    total: ads.length,
    unit: 'ads',
  });
  const vectors = await targets.store.vectorsOf(texts, targets);
  targets.stop();
  return { ads, texts, vectors };
}

/** Whether an ad, by row, is booked in a market. */
export function bookings(ads: readonly Ad[]): (row: number, market: string) => boolean {
  const markets = ads.map((ad) => new Set(ad.markets));
  return (row, market) => markets[row]!.has(market);
}
