/**
 * Events into a real Postgres server that syncs each commit to disk: the same rows by bare COPY (one statement a table,
 * text made beforehand, into the same tables with their indexes), by the ingest function, and through HTTP of a backend
 * process, whose requests are signed and serialised before the clock runs, since in production their sender is another
 * machine. The three take turns, so that a machine that is busy meets all of them; rates are medians over the turns.
 */
import { fileURLToPath } from 'node:url';
import { sql } from 'drizzle-orm';
import { median } from 'simple-statistics';
import { openPostgres, rows as rowsOf } from '../../gpu-backend/db/connect.ts';
import { copyText } from '../../gpu-backend/db/copy.ts';
import { migrate } from '../../gpu-backend/db/migrate.ts';
import { clicks, conversions, exposures, impressions } from '../../gpu-backend/db/schema.ts';
import { groupCommit } from '../../gpu-backend/events/group-commit.ts';
import { clickRow, conversionRow, exposureRows, impressionRow, ofType } from '../../gpu-backend/events/rows.ts';
import { startService } from '../../scripts/service.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { parseKeyRing, signRequest } from '../../shared/signature.ts';
import { makeFolders, TEST_KEYS } from '../../test/setup/backend.ts';
import { startPostgresServer } from '../../test/setup/postgres-server.ts';
import { bounded, type Row } from '../row.ts';
import { inFlight, pageEvents, pieces } from './event-mix.ts';
import { prepare, preparedRequests } from './prepared-requests.ts';
import { PRODUCTION_FLAGS } from './production-flags.ts';

/**
 * Events of a request and requests in flight: what a queue of Cloudflare's hands over at most (wrangler.toml), by some of the
 * 250 consumers that it runs at once; and the most that the route takes.
 */
const LOADS = [
  { size: 100, flights: 64 },
  { size: 1_000, flights: 16 },
] as const;

export interface EventRowsOptions {
  /** Pages, with some 1.14 events each, of a turn. */
  pages: number;
  turns: number;
  say: (line: string) => void;
}

export async function eventRows({ pages, turns, say }: EventRowsOptions): Promise<Row[]> {
  const events = Array.from({ length: pages }, (_, i) => pageEvents(i)).flat();
  const server = await startPostgresServer({ settings: ['fsync=on', 'max_wal_size=4GB'] });
  const url = await server.createDatabase();
  const { db, copying, close } = await openPostgres(url);
  const folders = await makeFolders();
  await migrate(db);
  const backend = await startService({
    name: 'backend',
    entry: fileURLToPath(new URL('../../scripts/backend-main.ts', import.meta.url)),
    flags: PRODUCTION_FLAGS,
    env: {
      PORT: '0',
      HARNESS_DATA: folders.data,
      HARNESS_BUNDLE: folders.bundle,
      HARNESS_KEYS: TEST_KEYS,
      HARNESS_ENCODER_WORKERS: '1',
      DATABASE_URL: url,
      LOG_LEVEL: 'error',
    },
    onLine: say,
  });

  const tables = [
    copyText(impressions, ofType(events, 'impression').map(impressionRow)),
    copyText(exposures, ofType(events, 'impression').flatMap(exposureRows)),
    copyText(conversions, ofType(events, 'conversion').map(conversionRow)),
    copyText(clicks, ofType(events, 'click').map(clickRow)),
  ];
  const allStored = async () => {
    const [row] = await rowsOf<{ n: number }>(
      db,
      sql`select ((select count(*) from ${impressions}) + (select count(*) from ${clicks}) + (select count(*) from ${conversions}))::int as n`,
    );
    if (row!.n !== events.length) throw new Error(`expected ${events.length} events stored, got ${row!.n}`);
  };
  const ring = parseKeyRing(TEST_KEYS);
  const request = async (body: string) => {
    const at = { nowMs: Date.now(), nonce: crypto.randomUUID() };
    const signature = await signRequest(ring, { method: 'POST', path: PATH, body }, at);
    const headers = Object.entries(signature).map(([name, value]) => `${name}: ${value}`);
    return prepare(backend.url, PATH, { headers, body });
  };

  /** What is done before the clock runs gives what is done while it does. */
  const ways = new Map<string, () => Promise<() => Promise<void>>>([
    ['bare COPY', async () => () => copying!(tables, async () => undefined)],
  ]);
  for (const { size, flights } of LOADS) {
    const batches = pieces<HarnessEvent>(events, size);
    const bodies = batches.map((batch) => JSON.stringify({ events: batch }));
    const store = groupCommit({ db, copying });
    ways.set(`ingest, requests of ${size}`, async () => () => inFlight(batches, flights, store));
    ways.set(`HTTP, requests of ${size}`, async () => {
      const requests = await Promise.all(bodies.map(request));
      return async () => {
        const { send, close } = preparedRequests({ url: backend.url, connections: flights });
        await inFlight(requests, flights, async (bytes) => {
          const status = await send(bytes);
          if (status !== 200) throw new Error(`expected events taken, got status ${status}`);
        });
        close();
      };
    });
  }
  const rates = new Map([...ways.keys()].map((way) => [way, [] as number[]]));
  try {
    for (let turn = -1; turn < turns; turn++) {
      for (const [way, ready] of ways) {
        await db.execute(sql`truncate impressions, exposures, clicks, conversions, ad_spend`);
        await db.execute(sql`checkpoint`);
        const run = await ready();
        const began = performance.now();
        await run();
        const ms = performance.now() - began;
        await allStored();
        // The first turn is for the compilers and the server's files to warm up.
        if (turn >= 0) rates.get(way)!.push((1_000 * events.length) / ms);
      }
      say(`turn ${turn + 1} of ${turns}`);
    }
  } finally {
    await backend.stop();
    await close();
    await server.stop();
    folders.remove();
  }
  const bare = rates.get('bare COPY')!;
  const rows: Row[] = [];
  for (const [way, all] of rates) {
    rows.push({ metric: `events into Postgres: ${way}`, value: median(all), unit: 'events/s' });
    if (all === bare) continue;
    const metric = `events into Postgres: ${way}, of bare COPY in the same turn`;
    rows.push(bounded(metric, median(all.map((rate, turn) => rate / bare[turn]!)), 'ratio', ['>=', 0.5]));
  }
  return rows;
}

const PATH = '/v1/events';
