/**
 * The edge under `workerd serve`, as those without Cloudflare run it: what a memory hit costs, what the memory tier keeps,
 * how it starts, what nonsense does to it, and what visitors notice of a backend that is away. Load comes from other
 * processes; nothing here goes through wrangler. `--only NAME` makes one of the parts.
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
import { inParts } from './parts.ts';
import type { Bench, Row } from './row.ts';

const KEYS = 'bench:a-secret-of-this-measurement';

interface PartOptions {
  quick: boolean;
  dir: string;
  /** A stand-in that answers at once: what is measured is the edge. */
  backendUrl: string;
  say: (line: string) => void;
}

/** In the order of their rows. */
const PARTS: Record<string, (options: PartOptions) => Row[] | Promise<Row[]>> = {
  'hit-rate': ({ quick }) => hitRateRows({ requests: quick ? 300_000 : 1_000_000, queries: 100_000, cacheBytes: 64e6 }),
  'start-up': ({ quick, dir, backendUrl }) => startUpRows({ dir, backendUrl, keys: KEYS, turns: quick ? 3 : 7 }),
  hits: ({ quick, dir, backendUrl, say }) => {
    const lengths = quick
      ? { turns: 3, seconds: 2, openTurns: 1, openSeconds: 5 }
      : { turns: 5, seconds: 6, openTurns: 3, openSeconds: 15 };
    return hitRows({ dir, backendUrl, keys: KEYS, ...lengths, say });
  },
  fuzz: ({ quick, dir, backendUrl }) => fuzzRows({ dir, backendUrl, keys: KEYS, requests: quick ? 10_000 : 100_000 }),
  outage: ({ quick, dir, say }) => outageRows({ dir, keys: KEYS, outageSeconds: quick ? 10 : 60, say }),
};

export const edge = inParts(
  Object.fromEntries(
    Object.entries(PARTS).map(([name, part]): [string, Bench] => [
      name,
      async ({ quick, say }) => {
        const dir = mkdtempSync(join(tmpdir(), `harness-edge-${name}-`));
        const entry = fileURLToPath(new URL('./edge/backend-stand-in.ts', import.meta.url));
        const backend = await startService({ name: 'stand-in backend', entry, env: {}, onLine: say });
        try {
          return { rows: await part({ quick, dir, backendUrl: backend.url, say }) };
        } finally {
          await backend.stop();
          rmSync(dir, { recursive: true, force: true });
        }
      },
    ]),
  ),
);
