/** The way to a real server: where its connections go, and that they wait for no acknowledgement. */
import { Socket } from 'node:net';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type Connection, openPostgres, rows } from '../../../gpu-backend/db/connect.ts';
import { copyText } from '../../../gpu-backend/db/copy.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { missingExposures } from '../../../gpu-backend/db/schema.ts';
import { type PostgresServer, startPostgresServer } from '../../setup/postgres-server.ts';

let server: PostgresServer;
const open: Connection[] = [];
beforeAll(async () => {
  server = await startPostgresServer();
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const connection of open.splice(0)) await connection.close();
});
afterAll(() => server.stop());

const connected = async (url: string) => {
  const connection = await openPostgres(url);
  open.push(connection);
  return connection;
};

test('every connection sends at once, and carries copies and transactions', async () => {
  const url = await server.createDatabase();
  const undelayed = new Set<Socket>();
  const made = new Set<Socket>();
  const { connect, setNoDelay } = Socket.prototype;
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...where) {
    made.add(this);
    return connect.apply(this, where as Parameters<typeof connect>);
  });
  vi.spyOn(Socket.prototype, 'setNoDelay').mockImplementation(function (this: Socket, on) {
    if (on !== false) undelayed.add(this);
    return setNoDelay.call(this, on);
  });
  const { db, copying } = await connected(url);
  await migrate(db);
  const exposure = { impressionId: 'impression-1', experiment: 'e', arm: 'a', at: new Date(0) };
  const copied = await copying!([copyText(missingExposures, [exposure])], async (tx) =>
    rows<{ n: number }>(tx, sql`select count(*)::int as n from ${missingExposures}`),
  );
  expect(copied).toEqual([{ n: 1 }]);
  await Promise.all(Array.from({ length: 4 }, () => db.execute(sql`select pg_sleep(0)`)));
  expect(made.size).toBeGreaterThan(1);
  expect([...made].every((socket) => undelayed.has(socket))).toBe(true);
});

test('of several hosts the first that answers is used', async () => {
  const url = new URL(await server.createDatabase());
  const away = '127.0.0.2'; // nobody listens there
  const { db } = await connected(`postgres://postgres@${away},127.0.0.1:${url.port}${url.pathname}`);
  expect(await rows(db, sql`select current_database() as name`)).toEqual([{ name: url.pathname.slice(1) }]);
});
