/** KV without Cloudflare: the HTTP interface that workerd's binding speaks, over the SQLite of one Durable Object on disk. */
import type { ObjectState } from '../../edge/outbox/outbox.ts';
import type { ObjectNamespace } from '../../edge/outbox/outboxes.ts';

const METADATA = 'cf-kv-metadata';

export class Store {
  readonly #sql: ObjectState['storage']['sql'];

  constructor({ storage }: ObjectState) {
    this.#sql = storage.sql;
    // With the index a write finds what has expired; without it, it would read everything that is there, megabytes of lists.
    this.#sql.exec(
      `create table if not exists entries (key text primary key, value text not null, metadata text, expires real not null);
       create index if not exists entries_expires on entries (expires);`,
    );
  }

  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const key = decodeURIComponent(url.pathname.slice(1));
    const nowSeconds = Date.now() / 1_000;
    if (request.method === 'PUT') {
      const ttl = url.searchParams.get('expiration_ttl');
      const expires = ttl === null ? (url.searchParams.get('expiration') ?? '1e15') : nowSeconds + Number(ttl);
      this.#sql.exec('delete from entries where expires <= ?', nowSeconds);
      this.#sql.exec(
        'insert or replace into entries values (?, ?, ?, ?)',
        key,
        await request.text(),
        request.headers.get(METADATA),
        Number(expires),
      );
      return new Response();
    }
    if (request.method === 'DELETE') {
      this.#sql.exec('delete from entries where key = ?', key);
      return new Response();
    }
    const [found] = this.#sql
      .exec('select value, metadata from entries where key = ? and expires > ?', key, nowSeconds)
      .toArray();
    if (found === undefined) return new Response('not found', { status: 404 });
    const headers: Record<string, string> = found.metadata === null ? {} : { [METADATA]: String(found.metadata) };
    return new Response(String(found.value), { headers });
  }
}

export default {
  fetch: (request: Request, { STORE }: { STORE: ObjectNamespace }) =>
    STORE.get(STORE.idFromName('kv') as never).fetch(request as never, {}),
};
