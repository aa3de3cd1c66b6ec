/** The way of events as the service puts it together: what a replay leaves behind is not forgotten. */
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { openPostgres, rows } from '../../../gpu-backend/db/connect.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { openIntake } from '../../../gpu-backend/events/open-intake.ts';
import { openSpool } from '../../../gpu-backend/events/spool.ts';
import { createMetrics } from '../../../gpu-backend/http/metrics.ts';
import { testFolder } from '../../fixtures/folder.ts';
import { startPostgresServer } from '../../setup/postgres-server.ts';
import { sampleImpression } from '../../setup/samples.ts';

const at = testFolder('open-intake');

test('spooled events that a database refused for a while are stored when it takes them', async () => {
  const server = await startPostgresServer();
  onTestFinished(() => server.stop());
  const connection = await openPostgres(await server.createDatabase());
  onTestFinished(() => connection.close());
  const spool = openSpool({
    dir: join(at('data'), 'spool'),
    maxBytes: 1 << 20,
    onDamage: () => {},
    onFailure: () => {},
  });
  await spool.append([sampleImpression()]);
  await spool.close();
  const said: string[] = [];
  const { availability, intake, close } = openIntake({
    connection,
    ...{ dataDir: at('data'), spoolBytes: 1 << 20, replayMs: 10 },
    metrics: createMetrics(),
    log: pino({ level: 'info' }, { write: (line) => said.push(JSON.parse(line).msg) }),
    refresh: async () => {},
  });
  onTestFinished(close);
  await intake.replay(); // there are no tables yet
  expect([said[0], availability.away()]).toEqual(['spooled events wait for the database', undefined]);
  await migrate(connection.db);
  await expect.poll(() => said.at(-1), { timeout: 60_000 }).toBe('spooled events are stored');
  expect(await rows(connection.db, sql`select id from impressions`)).toEqual([{ id: sampleImpression().id }]);
});
