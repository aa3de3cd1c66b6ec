/** Work of one backend among several on a server. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Connection, openPostgres } from '../../../gpu-backend/db/connect.ts';
import { ELSEWHERE, exclusively, inTurn } from '../../../gpu-backend/db/exclusive.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { type PostgresServer, startPostgresServer } from '../../setup/postgres-server.ts';

let server: PostgresServer;
let backends: Connection[];
beforeAll(async () => {
  server = await startPostgresServer();
  const url = await server.createDatabase();
  backends = [await openPostgres(url), await openPostgres(url)];
  await migrate(backends[0]!.db);
});
afterAll(async () => {
  await Promise.all(backends.map((each) => each.close()));
  await server.stop();
});

const TURN = { lock: 7, counter: 'alerts', everyMs: 3_600_000 } as const;

test('while one is at it, another is not, whoever began; once it is done, or has failed, others may', async () => {
  const [one, other] = backends.map((each) => exclusively(each, TURN.lock));
  const elsewhere = exclusively(backends[1]!, TURN.lock + 1);
  const during = await one!(async () => [await other!(async () => 'twice'), await elsewhere(async () => 'beside')]);
  expect(during).toEqual([ELSEWHERE, 'beside']);
  const failed = one!(async () => {
    throw new Error('no');
  });
  await expect(failed).rejects.toThrow('no');
  expect(await other!(async () => 'after')).toBe('after');
});

test('what is done in turn is done by one at a time, also where that takes longer than the others wait', async () => {
  const [one, other] = backends.map((each) => inTurn(each, TURN));
  const during = await one!(async () => {
    await backends[0]!.db.execute(sql`update counters set value = 0 where name = 'alerts'`);
    return other!(async () => 'twice');
  });
  expect(during).toBe(ELSEWHERE);
  expect(await other!(async () => 'its turn')).toBe('its turn');
  expect(await one!(async () => 'too soon')).toBe(ELSEWHERE);
});
