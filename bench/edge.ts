/**
 * The edge under `workerd serve`, as those without Cloudflare run it: what a memory hit costs, what the memory tier keeps,
 * how it starts, what nonsense does to it, and what visitors notice of a backend that is away. Load comes from other
 * processes; nothing here goes through wrangler.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startService } from '../scripts/service.ts';
import { fuzzRows } from './edge/fuzz.ts';
import { hitRateRows } from './edge/hit-rate.ts';
import { hitRows } from './edge/hits.ts';
import { outageRows } from './edge/outage.ts';
import { startUpRows } from './edge/start-up.ts';
import type { Bench, Row } from './row.ts';

const KEYS = 'bench:a-secret-of-this-measurement';

export const edge: Bench = async ({ quick, say }) => {
  const dir = mkdtempSync(join(tmpdir(), 'harness-edge-'));
  const backend = await startService({
    name: 'stand-in backend',
    entry: fileURLToPath(new URL('./edge/backend-stand-in.ts', import.meta.url)),
    env: {},
    onLine: say,
  });
  const backendUrl = backend.url;
  const rows: Row[] = [];
  try {
    say('hit rate');
    rows.push(...(await hitRateRows({ requests: quick ? 300_000 : 1_000_000, queries: 100_000, cacheBytes: 64e6 })));
    say('bundle and cold start');
    rows.push(...(await startUpRows({ dir: join(dir, 'start'), backendUrl, keys: KEYS, turns: quick ? 3 : 7 })));
    say('memory hits');
    const lengths = quick
      ? { turns: 3, seconds: 2, openTurns: 1, openSeconds: 5 }
      : { turns: 5, seconds: 6, openTurns: 3, openSeconds: 15 };
    rows.push(...(await hitRows({ dir: join(dir, 'hits'), backendUrl, keys: KEYS, ...lengths, say })));
    say('fuzz');
    const requests = quick ? 10_000 : 100_000;
    rows.push(...(await fuzzRows({ dir: join(dir, 'fuzz'), backendUrl, keys: KEYS, requests })));
    say('outage');
    rows.push(...(await outageRows({ dir: join(dir, 'outage'), keys: KEYS, outageSeconds: quick ? 10 : 60, say })));
    return { rows };
  } finally {
    await backend.stop();
    rmSync(dir, { recursive: true, force: true });
  }
};
