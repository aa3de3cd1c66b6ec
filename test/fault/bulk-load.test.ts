/** A bulk load that is killed with -9, while it stages and while it applies: nothing of it shows, and the next run ends it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Connection, openPglite, openPostgres, rows } from '../../gpu-backend/db/connect.ts';
import { lockDataFolder } from '../../gpu-backend/db/data-folder.ts';
import { migrate } from '../../gpu-backend/db/migrate.ts';
import { testFolder } from '../fixtures/folder.ts';
import { newDataFolder } from '../setup/databases.ts';
import { type PostgresServer, startPostgresServer } from '../setup/postgres-server.ts';

const at = testFolder('bulk-load');
const ROWS = 3_000;
let server: PostgresServer;
let folder: string;
beforeAll(async () => {
  [server, folder] = await Promise.all([startPostgresServer(), newDataFolder()]);
});
afterAll(() => server.stop());

/** Runs a load, to its end or until it is killed at so many rows or in that phase. Resolves with its result. */
async function load(where: string, report: string, ...until: string[]): Promise<unknown> {
  const child = fork('test/fixtures/bulk-load-child.ts', [where, report, String(ROWS), ...until]);
  let result: unknown;
  child.on('message', (said) => {
    result = said;
  });
  // What it said last may come after its end; nothing comes after the channel's.
  const [[code, signal]] = await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  expect([code, signal]).toEqual(until.length > 0 ? [null, 'SIGKILL'] : [0, null]);
  return result;
}

test.each(['embedded', 'server'] as const)(
  'killed, on the %s database',
  async (kind) => {
    const where = kind === 'server' ? await server.createDatabase() : folder;
    const report = at(`${kind}.jsonl`);
    /** Opens the database between two runs. */
    const look = async <T>(work: (db: Connection['db']) => Promise<T>): Promise<T> => {
      const lock = kind === 'server' ? undefined : lockDataFolder(where);
      const connection = await (lock === undefined ? openPostgres(where) : openPglite(lock));
      try {
        return await work(connection.db);
      } finally {
        await connection.close();
        lock?.release();
      }
    };
    const counts = () =>
      look(async (db) => {
        const [row] = await rows<{ ads: number; staged: number }>(
          db,
          sql`select (select count(*)::int from ads) as ads, (select count(*)::int from staged_ads) as staged`,
        );
        return row!;
      });
    await look(migrate);

    await load(where, report, '1000');
    expect(await counts()).toEqual({ ads: 0, staged: 900 }); // whole chunks

    await load(where, report, 'applying');
    expect(await counts()).toEqual({ ads: 0, staged: 2_700 });

    expect(await load(where, report)).toMatchObject({ loaded: 2_700, rejected: 300 });
    expect(await counts()).toEqual({ ads: 2_700, staged: 0 });
    const lines = readFileSync(report, 'utf8').trim().split('\n');
    expect(lines.map((text) => JSON.parse(text).line)).toEqual(Array.from({ length: 300 }, (_, i) => 10 * (i + 1)));
  },
  600_000, // several processes, one after the other
);
