/** The way to a real server: where its connections go, that they wait for no acknowledgement, and for no server that has gone. */
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as openSocket, Socket } from 'node:net';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type Connection, openPostgres, rows, type SessionLimits } from '../../../gpu-backend/db/connect.ts';
import { copyText } from '../../../gpu-backend/db/copy.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { missingExposures } from '../../../gpu-backend/db/schema.ts';
import { isAway, reasonOf } from '../../../gpu-backend/db/sql-error.ts';
import { join, mutableProxy } from '../../setup/mutable-proxy.ts';
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

const connected = async (url: string, limits?: SessionLimits) => {
  const connection = await openPostgres(url, limits && { limits });
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

/** A way to the server that breaks whenever a client asks for the types of arrays, as a server that stops just then does. */
async function breakingProxy(port: number) {
  const proxy = createServer((client) => {
    const behind = openSocket(port, '127.0.0.1');
    client.on('data', (chunk) => {
      if (chunk.includes('pg_catalog.pg_type')) client.resetAndDestroy();
    });
    join(client, behind);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return { port: (proxy.address() as AddressInfo).port, close: () => proxy.close() };
}

// Nobody waits for what the driver asks of its own: where the connection breaks under it, the process ends.
test('a session asks nothing but what it is asked', async () => {
  const url = new URL(await server.createDatabase());
  const proxy = await breakingProxy(Number(url.port));
  url.port = String(proxy.port);
  const { db } = await connected(url.href);
  expect(await rows(db, sql`select array_to_json(array['a', 'b']) as names`)).toEqual([{ names: ['a', 'b'] }]);
  proxy.close();
});

test('a server that went without a word is given up when it would have ended the sessions itself, and then gone to anew', async () => {
  const proxy = await mutableProxy(await server.createDatabase());
  onTestFinished(() => proxy.close());
  const { db, copying } = await connected(proxy.url, {
    ...{ statementSeconds: 4, batchSeconds: 0, idleTransactionSeconds: 4 }, // so that none ends what this process holds up
  });
  await migrate(db);
  const everySession = () => Array.from({ length: 20 }, () => rows(db, sql`select from pg_sleep(0.01)`));
  await Promise.all(everySession());
  const exposure = { impressionId: 'impression-1', experiment: 'e', arm: 'a', at: new Date(0) };
  const muted = Promise.withResolvers<void>();
  const answers = Promise.allSettled([
    copying!([copyText(missingExposures, [exposure])], () => muted.promise),
    db.transaction(async (tx) => {
      await tx.execute(sql`select`);
      proxy.mute();
      muted.resolve();
      await tx.execute(sql`select`);
    }),
    muted.promise.then(() => copying!([copyText(missingExposures, [exposure])], async () => 'copied')),
    muted.promise.then(() => Promise.all(everySession())),
  ]);
  for (const answer of await answers) {
    expect(answer.status).toBe('rejected');
    expect(isAway((answer as PromiseRejectedResult).reason)).toBe(true);
  }
  proxy.unmute();
  // Each session is given up by itself.
  await expect.poll(() => Promise.all(everySession()).then(() => 'there', reasonOf), { timeout: 60_000 }).toBe('there');
  expect(await rows(db, sql`select impression_id from ${missingExposures}`)).toEqual([]);
});
