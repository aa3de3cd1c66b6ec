import { readdirSync } from 'node:fs';
import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import { rows } from '../../../gpu-backend/db/connect.ts';
import { migrate } from '../../../gpu-backend/db/migrate.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';

describe.each(DATABASES)('migrations on the %s database', (_name, open) => {
  const database = useDatabase(open);

  test('are applied once, whoever calls', async () => {
    const calls = await Promise.all([migrate(database.db), migrate(database.db)]);
    expect(calls).toEqual([0, 0]);
    const applied = await rows(database.db, sql`select hash from drizzle.__drizzle_migrations order by created_at`);
    expect(applied).toHaveLength(readdirSync('migrations').filter((name) => name.endsWith('.sql')).length);
  });

  test('of a newer version are respected', async () => {
    await database.db.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('future', 4102444800000)`,
    );
    await expect(migrate(database.db)).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('2100-01-01'),
    });
    await database.db.execute(sql`delete from drizzle.__drizzle_migrations where hash = 'future'`);
  });
});
