/**
 * Changes of campaigns, advertisers and rules of policy: one commit each, in the order of all catalogue commits, and what
 * queries meet (eligibility.ts) follows before the caller is answered. A pause takes all of a campaign's ads out of cached answers too.
 */
import { and, asc, eq, gt, isNull } from 'drizzle-orm';
import type { z } from 'zod';
import { ACCOUNT_SCHEMAS, type Account, type AccountKind, type AccountPage } from '../../shared/contract/accounts.ts';
import { firstPage } from '../../shared/contract/paging.ts';
import { killEntry } from '../../shared/contract/takedown.ts';
import { HarnessError, parse } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { raise } from '../db/counters.ts';
import { accounts } from '../db/schema.ts';
import { requireStorable } from '../db/storable.ts';
import type { AccountChange, Eligibility } from './eligibility.ts';
import { entriesOf } from './kill-list.ts';

export interface AccountsOptions {
  db: Database;
  eligibility: Eligibility;
  /** Called after a commit that changed the kill list (and raised the configuration's version). */
  onKillListChange: () => Promise<void>;
}

export interface Accounts {
  /** Those of a kind that are booked, by id: a page, and the `after` of the next one. */
  list<K extends AccountKind>(kind: K, page: AccountPage): Promise<{ entries: Account<K>[]; next: string | null }>;
  /** Throws `not_found`. */
  get<K extends AccountKind>(kind: K, id: string): Promise<Account<K>>;
  /** Creates or replaces. */
  put<K extends AccountKind>(kind: K, account: Account<K>): Promise<Account<K>>;
  /** Throws `not_found`, and `bad_request` for what would not be valid. */
  patch<K extends AccountKind>(kind: K, id: string, patch: object): Promise<Account<K>>;
  /** From then on the ads run by their own settings alone. Throws `not_found`. */
  remove(kind: AccountKind, id: string): Promise<void>;
}

/** Brings it up to what the database holds; `since` is a revision up to which they are known. */
export async function loadEligibility(db: Database, eligibility: Eligibility, since = -1): Promise<void> {
  for (const row of await db.select().from(accounts).where(gt(accounts.revision, since))) {
    const { kind, id, revision, definition, deletedAt } = row;
    eligibility.apply({ kind, id, revision, account: deletedAt === null ? definition : undefined });
  }
}

export function createAccounts({ db, eligibility, onKillListChange }: AccountsOptions): Accounts {
  const find = async (tx: Database, kind: AccountKind, id: string, lock: boolean): Promise<Account> => {
    const query = tx
      .select({ definition: accounts.definition })
      .from(accounts)
      .where(and(eq(accounts.kind, kind), eq(accounts.id, id), isNull(accounts.deletedAt)));
    const [row] = await (lock ? query.for('update') : query);
    if (row === undefined) throw new HarnessError('not_found', `There is no ${kind} "${id}".`);
    return row.definition;
  };

  /** One commit; `next` makes the new state, `undefined` to remove it. */
  async function commit(
    kind: AccountKind,
    id: string,
    next: (tx: Database) => Promise<Account | undefined>,
  ): Promise<Account | undefined> {
    const { change, killListChanged } = await db.transaction(async (tx) => {
      const revision = await raise(tx, 'catalogue'); // first: its lock puts the commits in order
      const entry = killEntry(kind, id);
      const before = await entriesOf(tx, entry);
      const account = await next(tx);
      await write(tx, { kind, id, revision, account });
      const after = await entriesOf(tx, entry);
      const changed = before.join() !== after.join();
      if (changed) await raise(tx, 'config');
      return { change: { kind, id, revision, account }, killListChanged: changed };
    });
    eligibility.apply(change);
    if (killListChanged) await onKillListChange();
    return change.account;
  }

  return {
    async list(kind, { limit, after }) {
      const behind = after === undefined ? undefined : gt(accounts.id, after);
      const found = await db
        .select({ definition: accounts.definition })
        .from(accounts)
        .where(and(eq(accounts.kind, kind), isNull(accounts.deletedAt), behind))
        .orderBy(asc(accounts.id))
        .limit(limit + 1);
      const definitions = found.map(({ definition }) => definition as Account<typeof kind>);
      return firstPage(definitions, { limit, keyOf: ({ id }) => id });
    },
    get: async (kind, id) => (await find(db, kind, id, false)) as Account<typeof kind>,
    async put(kind, account) {
      requireStorable(account, kind);
      return (await commit(kind, account.id, async () => account)) as Account<typeof kind>;
    },
    async patch(kind, id, patch) {
      requireStorable(patch, kind);
      const patched = await commit(kind, id, async (tx) => {
        const present = await find(tx, kind, id, true);
        const changed = Object.entries(patch).filter(([, value]) => value !== undefined);
        const schema: z.ZodType<Account> = ACCOUNT_SCHEMAS[kind];
        return parse(schema, { ...present, ...Object.fromEntries(changed) }, kind);
      });
      return patched as Account<typeof kind>;
    },
    async remove(kind, id) {
      await commit(kind, id, async (tx) => {
        await find(tx, kind, id, true);
        return undefined;
      });
    },
  };
}

async function write(tx: Database, { kind, id, revision, account }: AccountChange): Promise<void> {
  const updatedAt = new Date();
  if (account === undefined) {
    const gone = { revision, updatedAt, deletedAt: updatedAt };
    await tx
      .update(accounts)
      .set(gone)
      .where(and(eq(accounts.kind, kind), eq(accounts.id, id)));
    return;
  }
  const status = 'status' in account ? account.status : 'active';
  const dailyBudgetMicros = ('dailyBudgetMicros' in account ? account.dailyBudgetMicros : undefined) ?? null;
  const row = { definition: account, status, dailyBudgetMicros, revision, updatedAt, deletedAt: null };
  await tx
    .insert(accounts)
    .values({ kind, id, ...row })
    .onConflictDoUpdate({ target: [accounts.kind, accounts.id], set: row });
}
