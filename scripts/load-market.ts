/**
 * Loads the bundled market's catalogue into a backend through its API, and publishes the first generation. It runs as a
 * process of its own: making a market takes more memory than serving one, and that memory is given back when the
 * process ends.
 */
import { fork } from 'node:child_process';
import { exitWith } from '../gpu-backend/command-line.ts';
import { createMarket, MARKET_SEED } from '../marketplace/market.ts';
import type { AdBatchResult } from '../shared/contract/ads.ts';
import { HarnessError } from '../shared/problem.ts';
import { parseKeyRing } from '../shared/signature.ts';
import { backendClient } from './backend-client.ts';

const BATCH = 2_000;

type Progress = (done: number, total: number) => void;

async function load({ backendUrl, keys, onProgress }: { backendUrl: string; keys: string; onProgress: Progress }) {
  const backend = backendClient(backendUrl, parseKeyRing(keys));
  const { ads } = createMarket({ seed: MARKET_SEED });
  for (let at = 0; at < ads.length; at += BATCH) {
    const { rejected } = await backend<AdBatchResult>('POST', '/v1/ads:batch', { ads: ads.slice(at, at + BATCH) });
    if (rejected.length > 0) {
      throw new HarnessError('bad_request', `The backend refused ad ${rejected[0]!.id}: ${rejected[0]!.reason}`);
    }
    onProgress(Math.min(at + BATCH, ads.length), ads.length);
  }
  await backend('POST', '/v1/generations', { action: 'build' });
}

/** Throws `configuration` with the child's last words when the load fails. */
export async function loadMarket(options: { backendUrl: string; keys: string; onProgress?: Progress }): Promise<void> {
  const { backendUrl, keys, onProgress = () => {} } = options;
  const child = fork(import.meta.filename, {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    env: { ...process.env, BACKEND_URL: backendUrl, HARNESS_KEYS: keys },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  let words = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    words += text;
  });
  child.on('message', ([done, total]: [number, number]) => onProgress(done, total));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new HarnessError('configuration', words.trim() || `Loading the market ended with ${code}.`);
}

if (process.argv[1] === import.meta.filename) {
  // Without its parent there is nobody to load for.
  process.on('disconnect', () => process.exit(1));
  const { BACKEND_URL = '', HARNESS_KEYS = '' } = process.env;
  try {
    const onProgress: Progress = (done, total) => process.send?.([done, total]);
    await load({ backendUrl: BACKEND_URL, keys: HARNESS_KEYS, onProgress });
    process.exit(0);
  } catch (error) {
    exitWith(error);
  }
}
