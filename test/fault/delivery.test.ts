/** Delivery while the backend dies at the worst moments: the real consumer over the real store, N ids are N rows. */
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { consume } from '../../edge/consumer.ts';
import { noEvents } from '../../edge/events.ts';
import { rows } from '../../gpu-backend/db/connect.ts';
import { ingest } from '../../gpu-backend/events/ingest.ts';
import { missingIds } from '../../gpu-backend/events/reconcile.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { openEmbeddedDatabase } from '../setup/databases.ts';
import { useDatabase } from '../setup/hooks.ts';
import { sampleClick, sampleImpression } from '../setup/samples.ts';

const database = useDatabase(openEmbeddedDatabase);

/** How a call to the backend ends: well, before anything is stored, or stored and then no answer. */
const outcome = fc.constantFrom('answered' as const, 'killed before the commit' as const, 'killed after it' as const);

test('a backend that is killed mid-batch, before or after its commit, costs no event and doubles none', async () => {
  const { db } = database;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.infiniteStream(outcome),
      fc.infiniteStream(fc.integer({ min: 1, max: 50 })),
      async (answers, outcomes, sizes) => {
        await db.execute(sql`truncate impressions, exposures, clicks`);
        const issued: HarnessEvent[] = Array.from({ length: answers }, (_, i) => [
          sampleImpression({ id: `impression-${i}` }),
          // The same slot clicked twice is one click.
          sampleClick({ id: `impression-${i}:1`, impressionId: `impression-${i}` }),
          sampleClick({ id: `impression-${i}:1`, impressionId: `impression-${i}` }),
        ]).flat();
        let deaths = 0;
        const store = async (events: readonly HarnessEvent[]) => {
          // The tenth death is the last, so that every run ends.
          const end = deaths < 10 ? outcomes.next().value! : 'answered';
          if (end !== 'answered') deaths++;
          if (end === 'killed before the commit') throw new Error('the connection broke');
          const result = await ingest(events, { db });
          if (end === 'killed after it') throw new Error('the connection broke');
          return result;
        };
        let queue = issued.map((body) => ({ body, attempts: 1 }));
        while (queue.length > 0) {
          const size = sizes.next().value!;
          const left: typeof queue = [];
          const messages = queue.slice(0, size).map(({ body, attempts }) => ({
            body,
            attempts,
            ack: () => undefined,
            retry: () => void left.push({ body, attempts: attempts + 1 }),
          }));
          const park = () => Promise.reject(new Error('no dead letters here'));
          await consume({ queue: 'harness-events', messages }, { store, park, counts: noEvents(), onError: () => {} });
          queue = [...queue.slice(size), ...left];
        }
        const count = async (table: string) =>
          (await rows<{ n: number }>(db, sql.raw(`select count(*)::int as n from ${table}`)))[0]!.n;
        expect([await count('impressions'), await count('clicks')]).toEqual([answers, answers]);
        expect(await missingIds(db, [...new Set(issued.map(({ id }) => id))])).toEqual([]);
      },
    ),
    { seed: 1, numRuns: 5 },
  );
});

test('50 clicks on one link are 50 events and one row', async () => {
  const { db } = database;
  await db.execute(sql`truncate clicks`);
  const clicks = Array.from({ length: 50 }, (_, i) => sampleClick({ atMs: Date.UTC(2026, 10, 1, 0, 0, i) }));
  expect(await ingest(clicks, { db })).toEqual({ stored: 1, duplicates: 49, rejected: [] });
});
