/**
 * A file of ads into the catalogue, however many. Rows are checked and staged chunk by chunk, each chunk and how far it
 * came in one transaction, so that a killed load continues where it was; nobody sees any of them until one transaction
 * takes all into the catalogue. Memory holds one chunk. A running backend serves the changes with its next generation,
 * unless they are few.
 */
import { eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import { HarnessError } from '../../shared/problem.ts';
import { type Connection, type Database, rows } from '../db/connect.ts';
import { copyText } from '../db/copy.ts';
import { raise } from '../db/counters.ts';
import { insertRecords } from '../db/recordset.ts';
import { ads, adVectors, bulkLoads, stagedAds } from '../db/schema.ts';
import { killList } from './kill-list.ts';
import { rowOf } from './rows.ts';
import { readUpload, type ServedSpace } from './upload.ts';

/** A row of the file: what it says, or why it is not a row. `line` is 1-based. */
export type BulkRow = { line: number; value: unknown } | { line: number; fault: string };

export interface BadRow {
  line: number;
  reason: string;
}

/** Where bad rows are reported, in order. */
export interface BadRowReport {
  /** Forgets all but the first `bytes`: what a killed run wrote after its last commit. */
  cutTo(bytes: number): Promise<void>;
  /** Durably appends; answers the length of the report after it. */
  append(bad: readonly BadRow[]): Promise<number>;
}

export interface BulkLoadOptions {
  connection: Pick<Connection, 'db' | 'copying'>;
  space: ServedSpace;
  /**
   * Name of the file, and a digest of its content: a load of the same content into the same space continues where it
   * was.
   */
  file: { name: string; digest: string };
  /** All rows of the file, in order. */
  read: () => AsyncIterable<BulkRow>;
  report: BadRowReport;
  /** Share of bad rows above which nothing is loaded. */
  maxBadShare: number;
  /** Called after each chunk with the rows of the file that are done, and before the last step. */
  onProgress?: (done: number, phase: 'staging' | 'applying') => void;
  /** Rows staged at a time. */
  chunk?: number;
}

export interface BulkLoadResult {
  /** Ads that are in the catalogue now. */
  loaded: number;
  rejected: number;
  /** Rows that an earlier run had done. */
  resumedAfter: number;
}

/** Vectors as COPY and JSON both write bytes, in hexadecimal. */
type Staged = Omit<typeof stagedAds.$inferInsert, 'vector'> & { vector: string | null };

const CHUNK = 10_000;
/** What one statement of the embedded database takes, which has no COPY. */
const SLICE = 2_000;

const elsewhere = (file: string) =>
  new HarnessError('conflict', `${file} is being loaded by another process; wait for it, or end it.`);

/** Throws `bad_request` when too many rows are bad, `conflict` when another process loads the same file. */
export async function bulkLoad(options: BulkLoadOptions): Promise<BulkLoadResult> {
  const { connection, space, file, read, report, maxBadShare, onProgress = () => {}, chunk = CHUNK } = options;
  const { db } = connection;
  // Vectors were checked against the space when they were staged: in another one the load begins anew.
  const loadId = `${space.spaceId} ${file.digest}`;
  const state = await begin(db, { loadId, file: file.name });
  const resumedAfter = state.position;
  await report.cutTo(state.reportBytes);
  let staged: Staged[] = [];
  let bad: BadRow[] = [];
  let position = state.position;
  const store = async () => {
    const reportBytes = bad.length === 0 ? state.reportBytes : await report.append(bad);
    const next = { position, rejected: state.rejected + bad.length, reportBytes };
    await stage(connection, staged, async (tx) => {
      const moved = await tx
        .update(bulkLoads)
        .set(next)
        .where(sql`${bulkLoads.id} = ${loadId} and ${bulkLoads.position} = ${state.position}`)
        .returning({ id: bulkLoads.id });
      if (moved.length === 0) throw elsewhere(file.name);
    });
    Object.assign(state, next);
    [staged, bad] = [[], []];
    onProgress(position, 'staging');
  };
  let count = 0;
  for await (const row of read()) {
    if (++count <= resumedAfter) continue;
    position = count;
    const checked = await check(row, { space, loadId });
    if ('reason' in checked) bad.push(checked);
    else staged.push(checked);
    if (staged.length + bad.length >= chunk) await store();
  }
  if (staged.length + bad.length > 0) await store();

  onProgress(position, 'applying');
  const repeated = await repeats(db, loadId);
  if (repeated.length > 0) await report.append(repeated);
  const rejected = state.rejected + repeated.length;
  if (rejected > maxBadShare * Math.max(1, position)) {
    await db.transaction((tx) => forget(tx, loadId));
    throw new HarnessError(
      'bad_request',
      `${file.name}: expected at most ${100 * maxBadShare} % bad rows, got ${rejected} of ${position}; nothing was loaded.`,
    );
  }
  const loaded = await apply(db, { loadId, file: file.name, spaceId: space.spaceId });
  return { loaded, rejected, resumedAfter };
}

/** The state of the load; what another one of the same file left, of an earlier content or space, is cleared away. */
async function begin(db: Database, { loadId, file }: { loadId: string; file: string }) {
  return db.transaction(async (tx) => {
    const stale = await tx
      .select({ id: bulkLoads.id })
      .from(bulkLoads)
      .where(sql`${bulkLoads.file} = ${file} and ${bulkLoads.id} <> ${loadId}`);
    for (const { id } of stale) await forget(tx, id);
    await tx
      .insert(bulkLoads)
      .values({ id: loadId, file, position: 0, rejected: 0, reportBytes: 0 })
      .onConflictDoNothing();
    const [state] = await tx.select().from(bulkLoads).where(eq(bulkLoads.id, loadId));
    return state!;
  });
}

async function check(
  row: BulkRow,
  { space, loadId }: { space: ServedSpace; loadId: string },
): Promise<Staged | BadRow> {
  const { line } = row;
  if ('fault' in row) return { line, reason: row.fault };
  try {
    const { ad, stored } = await readUpload(row.value, space);
    const { vector: bytes, textDigest = null } = stored ?? {};
    const vector =
      bytes === undefined ? null : `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')}`;
    return { loadId, line, adId: ad.id, ad: asRecord(rowOf(ad, 0)), vector, textDigest };
  } catch (error) {
    if (!(error instanceof HarnessError)) throw error;
    return { line, reason: error.message };
  }
}

/** What the last step sets itself. */
const SET_AT_LAST = new Set(['revision', 'updatedAt', 'deletedAt']);
const COLUMNS = Object.entries(getTableColumns(ads)).filter(([key]) => !SET_AT_LAST.has(key));

/** A row of `ads` under its column names. */
const asRecord = (row: Record<string, unknown>): object =>
  Object.fromEntries(COLUMNS.map(([key, { name }]) => [name, row[key] ?? null]));

/** The rows, and `work`, in one transaction. */
async function stage(
  { db, copying }: BulkLoadOptions['connection'],
  rows: readonly Staged[],
  work: (tx: Database) => Promise<void>,
): Promise<void> {
  const staged = rows as readonly unknown[] as (typeof stagedAds.$inferInsert)[];
  if (copying !== undefined) {
    const tables = staged.length === 0 ? [] : [copyText(stagedAds, staged)];
    return copying(tables, work);
  }
  await db.transaction(async (tx) => {
    for (let at = 0; at < staged.length; at += SLICE)
      await tx.execute(insertRecords(stagedAds, staged.slice(at, at + SLICE)));
    await work(tx);
  });
}

/** Rows whose ad came before in the file. */
async function repeats(db: Database, loadId: string): Promise<BadRow[]> {
  const found = await rows<{ line: number; id: string; first: number }>(
    db,
    sql`select line::float8 as line, ad_id as id, first::float8 as first from (
          select line, ad_id, min(line) over (partition by ad_id) as first from ${stagedAds} where load_id = ${loadId}
        ) staged where line > first order by line`,
  );
  return found.map(({ line, id, first }) => ({
    line,
    reason: `ad.id: expected each id once, ${id} came before on line ${first}`,
  }));
}

/**
 * Takes all staged ads into the catalogue, those that change as one commit; returns how many there are in all. Throws
 * `conflict` when the load is no longer there.
 */
function apply(
  db: Database,
  { loadId, file, spaceId }: { loadId: string; file: string; spaceId: string },
): Promise<number> {
  const columns = sql.join(
    COLUMNS.map(([, { name }]) => sql.identifier(name)),
    sql`, `,
  );
  const prefixed = (source: string): SQL =>
    sql.join(
      COLUMNS.map(([, { name }]) => sql`${sql.identifier(source)}.${sql.identifier(name)}`),
      sql`, `,
    );
  const first = sql`(select distinct on (ad_id) * from ${stagedAds} where load_id = ${loadId} order by ad_id, line) staged`;
  return db.transaction(async (tx) => {
    const revision = await raise(tx, 'catalogue');
    // Held to the end: who begins with another content of the file clears these rows away before this or after it, never in between.
    const held = await tx.select().from(bulkLoads).where(eq(bulkLoads.id, loadId)).for('update');
    if (held.length === 0) throw elsewhere(file);
    const before = await killList(tx);
    const [staged] = await rows<{ count: number }>(
      tx,
      sql`select count(distinct ad_id)::int as count from ${stagedAds} where load_id = ${loadId}`,
    );
    // What is as it was stays of its own commit: else a file that changes little would have all caches and indices look at all of it.
    await tx.execute(
      sql`insert into ${ads} (${columns}, revision, updated_at, deleted_at)
          select ${prefixed('record')}, ${revision}::bigint, now(), null
          from ${first}
          cross join jsonb_populate_record(null::${ads}, staged.ad) record
          left join ${ads} present on present.id = staged.ad_id and present.deleted_at is null
          left join ${adVectors} held on held.ad_id = staged.ad_id and held.space_id = ${spaceId}
          where (${prefixed('record')}) is distinct from (${prefixed('present')})
            or (staged.vector is not null
              and (staged.vector, staged.text_digest) is distinct from (held.vector, held.text_digest))
          on conflict (id) do update set (${columns}, revision, updated_at, deleted_at) =
            (${prefixed('excluded')}, excluded.revision, excluded.updated_at, null)`,
    );
    await tx.execute(
      sql`insert into ${adVectors} (ad_id, space_id, vector, text_digest)
          select ad_id, ${spaceId}, vector, text_digest from ${first} where vector is not null
          on conflict (ad_id, space_id) do update set vector = excluded.vector, text_digest = excluded.text_digest
            where (${adVectors}.vector, ${adVectors}.text_digest) is distinct from (excluded.vector, excluded.text_digest)`,
    );
    await forget(tx, loadId);
    const after = await killList(tx);
    if (before.join('\n') !== after.join('\n')) await raise(tx, 'config');
    return staged!.count;
  });
}

/** Rows that loads under way have staged; those of an abandoned load stay. */
export async function stagedRows(db: Database): Promise<number> {
  const [row] = await rows<{ staged: number }>(
    db,
    sql`select coalesce(sum(position), 0)::float8 as staged from ${bulkLoads}`,
  );
  return row!.staged;
}

async function forget(tx: Database, loadId: string): Promise<void> {
  // First, as it waits for who stages or applies the others.
  await tx.delete(bulkLoads).where(eq(bulkLoads.id, loadId));
  await tx.delete(stagedAds).where(eq(stagedAds.loadId, loadId));
}
