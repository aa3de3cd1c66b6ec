/**
 * Catalogues of any size for the backend's measurements: the market's ads first, then more in the same words. A further
 * ad is one of the market's with the description of a second one of its department and a model number that few ads
 * share; its vector is the first one's, drawn a little towards the second's and in a random direction. The same count,
 * the same bytes.
 */
import { readFile } from 'node:fs/promises';
import { createMarket, MARKET_SEED, type Market } from '../../marketplace/market.ts';
import { createRandom } from '../../marketplace/random.ts';
import { Manifest } from '../../shared/bundle.ts';
import type { Ad } from '../../shared/contract/ads.ts';
import { readSafetensors } from '../../shared/safetensors.ts';
import { sizeFrom } from '../size.ts';

/** Ads of the measurements at full size; `HARNESS_BENCH_ADS` makes it smaller. */
export const benchAdCount = (): number => sizeFrom('HARNESS_BENCH_ADS', 1_000_000);

/** Share of the second ad's vector and of noise in a further ad's, beside 1 of the first's. */
const [SECOND, NOISE] = [0.3, 0.35];
/** How many model numbers there are for each ad that has one, and so how long their posting lists are. */
const MODELS_PER_AD = 0.2;

export interface BenchAds {
  market: Market;
  spaceId: string;
  dimension: number;
  ads: Ad[];
  /** int8 [ads, dimension], row-major. */
  vectors: Int8Array;
}

function quantized(sum: Float32Array, into: Int8Array): void {
  let largest = 0;
  for (const value of sum) largest = Math.max(largest, Math.abs(value));
  for (let i = 0; i < sum.length; i++) into[i] = Math.round((sum[i]! * 127) / largest);
}

/** `count` ads with vectors of the bundle's space, all booked in `us`; the market's own come first, in their order. */
export async function benchAds(count: number, bundleDir = 'models/default'): Promise<BenchAds> {
  const market = createMarket({ seed: MARKET_SEED });
  const { spaceId, dimension } = Manifest.parse(JSON.parse(await readFile(`${bundleDir}/manifest.json`, 'utf8')));
  const { tensors } = readSafetensors(await readFile(`${bundleDir}/ads.safetensors`));
  const { buffer, byteOffset, byteLength } = tensors.get('vectors')!.data;
  const own = new Int8Array(buffer, byteOffset, byteLength);
  const rowOf = new Map(
    new TextDecoder()
      .decode(tensors.get('ids')!.data)
      .split('\n')
      .map((id, row) => [id, row]),
  );
  const byDepartment = Map.groupBy(market.ads.keys(), (i) => market.ads[i]!.campaignId.split('-').at(-1)!);
  const vectorOf = (i: number) => {
    const row = rowOf.get(market.ads[i]!.id)!;
    return own.subarray(row * dimension, (row + 1) * dimension);
  };

  const random = createRandom(MARKET_SEED, 'bench-ads');
  const models = Math.max(1, Math.round(count * MODELS_PER_AD));
  const ads: Ad[] = [];
  const vectors = new Int8Array(count * dimension);
  const sum = new Float32Array(dimension);
  for (let row = 0; row < count; row++) {
    const into = vectors.subarray(row * dimension, (row + 1) * dimension);
    if (row < market.ads.length) {
      ads.push({ ...market.ads[row]!, markets: ['us'] });
      into.set(vectorOf(row));
      continue;
    }
    const i = random.int(market.ads.length);
    const first = market.ads[i]!;
    const j = random.pick(byDepartment.get(first.campaignId.split('-').at(-1)!)!);
    const [a, b] = [vectorOf(i), vectorOf(j)];
    // Uniform noise whose length is NOISE times the first vector's.
    let squares = 0;
    for (const value of a) squares += value * value;
    const noise = NOISE * Math.sqrt((3 * squares) / dimension);
    for (let at = 0; at < dimension; at++) sum[at] = a[at]! + SECOND * b[at]! + noise * (2 * random.next() - 1);
    quantized(sum, into);
    const id = `ad-${String(row + 1).padStart(7, '0')}`;
    ads.push({
      ...first,
      id,
      title: `${first.title} K${random.int(models).toString(36)}`.slice(0, 90).trim(),
      description: market.ads[j]!.description,
      landingUrl: `https://${first.displayUrl}/${id}`,
      markets: ['us'],
      status: 'active',
    });
  }
  return { market, spaceId, dimension, ads, vectors };
}
