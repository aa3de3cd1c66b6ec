/** Loads the bundled market's catalogue into a backend through its API, and publishes the first generation. */
import { createMarket, MARKET_SEED } from '../marketplace/market.ts';
import type { AdBatchResult } from '../shared/contract/ads.ts';
import { HarnessError } from '../shared/problem.ts';
import type { BackendClient } from './backend-client.ts';

const BATCH = 2_000;

export async function loadMarket({
  backend,
  onProgress,
}: {
  backend: BackendClient;
  onProgress?: (done: number, total: number) => void;
}): Promise<void> {
  const { ads } = createMarket({ seed: MARKET_SEED });
  for (let at = 0; at < ads.length; at += BATCH) {
    const { rejected } = await backend<AdBatchResult>('POST', '/v1/ads:batch', { ads: ads.slice(at, at + BATCH) });
    if (rejected.length > 0)
      throw new HarnessError('bad_request', `The backend refused ad ${rejected[0]!.id}: ${rejected[0]!.reason}`);
    onProgress?.(Math.min(at + BATCH, ads.length), ads.length);
  }
  await backend('POST', '/v1/generations', { action: 'build' });
}
