/** What the outbox holds, in SQLite: events that wait for the backend, and the ids that the edge issued. No I/O but the database's. */
import type { HarnessEvent } from '../../shared/contract/events.ts';
import { MAX_RECONCILED_IDS, type Reconciliation } from '../../shared/contract/reconciliation.ts';
import { idOf } from './ledger-entry.ts';

type Value = string | number | null;

/** As much of a Durable Object's SQLite as is used here. */
export interface Sql {
  exec(query: string, ...bindings: Value[]): { toArray(): Record<string, unknown>[] };
}

const MINUTE_MS = 60_000;
/** How long an id is asked for, and a minute counted. */
const KEPT_MS = 24 * 3_600_000;

const SCHEMA = `
  create table if not exists waiting (seq integer primary key autoincrement, key text not null unique, event text not null);
  create table if not exists issued (seq integer primary key autoincrement, minute integer not null, checks integer not null, ids text not null);
  create index if not exists issued_minute on issued (minute);
  create table if not exists minutes (minute integer primary key, issued integer not null, stored integer not null);
`;

export interface Waiting {
  seq: number;
  event: HarnessEvent;
}

/** Lines of the ledger (ledger-entry.ts) of one minute that have been looked for equally often. */
export interface IssuedIds {
  seq: number;
  minute: number;
  checks: number;
  entries: string[];
}

export class Shelf {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** Keeps events, each once. */
  put(events: readonly HarnessEvent[]): void {
    for (const event of events) {
      this.#sql.exec(
        'insert into waiting (key, event) values (?, ?) on conflict do nothing',
        `${event.type} ${event.id}`,
        JSON.stringify(event),
      );
    }
  }

  /** The oldest events, at most `limit`. */
  waiting(limit: number): Waiting[] {
    const found = this.#sql.exec('select seq, event from waiting order by seq limit ?', limit).toArray();
    return found.map(({ seq, event }) => ({ seq: Number(seq), event: JSON.parse(String(event)) as HarnessEvent }));
  }

  waitingCount(): number {
    return this.#number('select count(*) as n from waiting');
  }

  /** Takes events out that are stored. */
  drop(delivered: readonly Waiting[]): void {
    for (const { seq } of delivered) this.#sql.exec('delete from waiting where seq = ?', seq);
  }

  /** Writes down what was issued at about `atMs`. */
  note(entries: readonly string[], atMs: number): void {
    const minute = atMs - (atMs % MINUTE_MS);
    this.#sql.exec('insert into issued (minute, checks, ids) values (?, 0, ?)', minute, JSON.stringify(entries));
    this.#sql.exec(
      'insert into minutes values (?, ?, 0) on conflict (minute) do update set issued = issued + excluded.issued',
      minute,
      entries.length,
    );
  }

  /** The next ids after `seq` of minutes that ended before `beforeMs`, at most as many as one question names. */
  issued({ after, beforeMs }: { after: number; beforeMs: number }): IssuedIds[] {
    const found = this.#sql
      .exec(
        'select seq, minute, checks, ids from issued where seq > ? and minute <= ? order by seq limit 100',
        after,
        beforeMs - MINUTE_MS,
      )
      .toArray();
    const rows: IssuedIds[] = [];
    let named = 0;
    for (const { seq, minute, checks, ids } of found) {
      const entries = JSON.parse(String(ids)) as string[];
      if (rows.length > 0 && named + entries.length > MAX_RECONCILED_IDS) break;
      rows.push({ seq: Number(seq), minute: Number(minute), checks: Number(checks), entries });
      named += entries.length;
    }
    return rows;
  }

  /** What a look for ids found: those that are rows are done with, the others stay. */
  checked({ seq, minute, entries }: IssuedIds, missing: ReadonlySet<string>): void {
    const left = entries.filter((entry) => missing.has(idOf(entry)));
    if (left.length === 0) this.#sql.exec('delete from issued where seq = ?', seq);
    else this.#sql.exec('update issued set ids = ?, checks = checks + 1 where seq = ?', JSON.stringify(left), seq);
    this.#sql.exec('update minutes set stored = stored + ? where minute = ?', entries.length - left.length, minute);
  }

  /** Forgets what is older than a day. */
  forget(nowMs: number): void {
    for (const table of ['issued', 'minutes']) this.#sql.exec(`delete from ${table} where minute < ?`, nowMs - KEPT_MS);
  }

  /** The ledger as it stands; ids that were never looked for are recent. */
  reconciliation(): Reconciliation {
    const at = (minute: unknown) => new Date(Number(minute)).toISOString();
    // Counted by the database: minutes of all that is issued would be megabytes of text, read for their number.
    const unseen = new Map(
      this.#sql
        .exec('select minute, sum(json_array_length(ids)) as n from issued where checks = 0 group by minute')
        .toArray()
        .map(({ minute, n }) => [Number(minute), Number(n)]),
    );
    const missing: Reconciliation['missing'] = this.#sql
      .exec('select minute, checks, ids from issued where checks > 0 order by minute, seq')
      .toArray()
      .flatMap(({ minute, checks, ids }) =>
        (JSON.parse(String(ids)) as string[]).map((entry) => ({
          id: idOf(entry),
          minute: at(minute),
          checks: Number(checks),
        })),
      );
    const minutes = this.#sql.exec('select * from minutes order by minute').toArray();
    return {
      minutes: minutes.flatMap(({ minute, issued, stored }) => {
        const asked = Number(issued) - (unseen.get(Number(minute)) ?? 0);
        return asked === 0
          ? []
          : [{ minute: at(minute), issued: asked, stored: Number(stored), missing: asked - Number(stored) }];
      }),
      missing,
      recent: unseen.values().reduce((sum, n) => sum + n, 0),
      waiting: this.waitingCount(),
    };
  }

  #number(query: string): number {
    return Number(this.#sql.exec(query).toArray()[0]!.n);
  }
}
