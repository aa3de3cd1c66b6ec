/** KV's stand-in with its own SQLite. */
import { expect, it } from 'vitest';
import { Store } from '../../../scripts/edge-serve/kv.worker.ts';
import { withSql } from './counted-sql.worker.ts';

it('gives back what was written until it expires, and reads for a write only what is over', () =>
  withSql('kv-test', async (sql) => {
    const store = new Store({ storage: { sql } as never });
    const call = (key: string, search = '', init: RequestInit = {}) =>
      store.fetch(new Request(`https://kv/${encodeURIComponent(key)}${search}`, init as never) as never);
    const put = (key: string, ttlSeconds: number) =>
      call(key, `?expiration_ttl=${ttlSeconds}`, {
        method: 'PUT',
        body: `value of ${key}`,
        headers: { 'cf-kv-metadata': '{"at":1}' },
      });

    for (let i = 0; i < 300; i++) await put(`a/${i} ü`, 3_600);
    await put('over', -1);
    const found = await call('a/7 ü');
    expect([await found.text(), found.headers.get('cf-kv-metadata')]).toEqual(['value of a/7 ü', '{"at":1}']);
    expect((await call('over')).status).toBe(404);
    expect((await call('a/7 ü', '', { method: 'DELETE' })).status).toBe(200);
    expect((await call('a/7 ü')).status).toBe(404);

    const before = sql.rowsRead;
    await put('new', 60);
    expect(sql.rowsRead - before).toBeLessThan(20);
    expect(sql.exec("select key from entries where key in ('over', 'new')").toArray()).toEqual([{ key: 'new' }]);
  }));
