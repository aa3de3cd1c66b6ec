/**
 * Experiments as the database keeps them, with the record of every change (who, when, from, to, why) written in the change's
 * own transaction. Refused are steps that an experiment's life does not have, and sets that cannot run together.
 */
import { and, asc, eq, gt, inArray, max, sql } from 'drizzle-orm';
import type {
  AuditPage,
  ExperimentAudit,
  ExperimentList,
  ExperimentPage,
  ExperimentPlan,
  ExperimentStep,
} from '../../shared/contract/lifecycle.ts';
import { firstPage } from '../../shared/contract/paging.ts';
import { ExperimentDefinition } from '../../shared/experiment-definition.ts';
import { differences, judge, type LifecycleAction } from '../../shared/experiment-lifecycle.ts';
import { conflict } from '../../shared/experiment-set.ts';
import type { PlanPatch } from '../../shared/plan.ts';
import { HarnessError, parse } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { raise, reached } from '../db/counters.ts';
import { experimentAudit, experiments } from '../db/schema.ts';
import { unstorable } from '../db/storable.ts';

/** Who changes something, under which key the call was signed, and why. */
export interface Attribution {
  by: string;
  keyId: string | null;
  why: string;
}

const SHIPPED: Attribution = { by: 'harness', keyId: null, why: 'ships with this version' };

/** All, by key. */
export async function listExperiments(db: Database): Promise<ExperimentDefinition[]> {
  const found = await db.select().from(experiments).orderBy(asc(experiments.key));
  return found.map(definitionOf);
}

/** One page of them. */
export async function pageOfExperiments(db: Database, { limit, after }: ExperimentPage): Promise<ExperimentList> {
  const found = await db
    .select()
    .from(experiments)
    .where(after === undefined ? undefined : gt(experiments.key, after))
    .orderBy(asc(experiments.key))
    .limit(limit + 1);
  const { entries, next } = firstPage(found, { limit, keyOf: ({ key }) => key });
  return { experiments: entries.map(definitionOf), next };
}

async function findExperiment(db: Database, key: string): Promise<ExperimentDefinition | undefined> {
  const [row] = await db.select().from(experiments).where(eq(experiments.key, key));
  return row && definitionOf(row);
}

/** Throws `configuration` for what only a newer release understands. */
function definitionOf({ key, definition }: typeof experiments.$inferSelect): ExperimentDefinition {
  try {
    return parse(ExperimentDefinition, definition, `experiment ${key}`);
  } catch (cause) {
    const { message } = cause as HarnessError;
    throw new HarnessError('configuration', `${message}; a newer release wrote it to the database: run that one.`, {
      cause,
    });
  }
}

/** Throws `not_found`. */
export async function getExperiment(db: Database, key: string): Promise<ExperimentDefinition> {
  const found = await findExperiment(db, key);
  if (found === undefined) throw new HarnessError('not_found', `There is no experiment "${key}".`);
  return found;
}

/** What putting the definition would do, and whether it may. */
export async function planExperiment(db: Database, experiment: ExperimentDefinition): Promise<ExperimentPlan> {
  const before = await findExperiment(db, experiment.key);
  const judged = judge(before, experiment);
  const problem =
    judged.refusal ?? (judged.action === 'none' ? undefined : conflict(await withOthers(db, experiment))) ?? null;
  return { action: judged.action, differences: judged.differences, problem };
}

/** Creates or replaces; what says the same changes nothing. Throws `conflict` when it may not be, or cannot run with the others. */
export function putExperiment(
  db: Database,
  experiment: ExperimentDefinition,
  attribution: Attribution,
): Promise<ExperimentDefinition> {
  return change(db, async () => experiment, attribution);
}

/** One step of its life; throws `not_found`, `conflict`, and `bad_request` for a ramp to nowhere. */
export function stepExperiment(
  db: Database,
  key: string,
  { step, attribution }: { step: ExperimentStep; attribution: Attribution },
): Promise<ExperimentDefinition> {
  return change(db, async (tx) => stepped(await getExperiment(tx, key), step), attribution);
}

function stepped(before: ExperimentDefinition, step: ExperimentStep): ExperimentDefinition {
  if (step.action === 'start') return { ...before, status: 'running' };
  if (step.action === 'stop') return { ...before, status: 'stopped' };
  if (step.action === 'archive') return { ...before, status: 'archived' };
  if (step.action === 'ship')
    return parse(ExperimentDefinition, { ...before, status: 'stopped', shipped: step.arm }, 'experiment');
  if (step.action === 'withdraw') {
    const { shipped: _, ...rest } = before;
    return rest;
  }
  const { buckets = before.buckets, share } = step;
  if (before.status !== 'running')
    throw new HarnessError('conflict', `${before.key} is ${before.status}: only a running experiment is ramped.`);
  if (step.buckets === undefined && share === undefined)
    throw new HarnessError('bad_request', 'body: expected buckets, share, or both for a ramp.');
  const targeting = share === undefined ? {} : { targeting: { ...before.targeting, share } };
  return parse(ExperimentDefinition, { ...before, buckets, ...targeting }, 'experiment');
}

function change(
  db: Database,
  make: (tx: Database) => Promise<ExperimentDefinition>,
  attribution: Attribution,
): Promise<ExperimentDefinition> {
  return db.transaction(async (tx) => {
    await raise(tx, 'config'); // first: its lock lets one writer check and write at a time
    const experiment = await make(tx);
    const bad = unstorable({ experiment, ...attribution });
    if (bad !== undefined)
      throw new HarnessError('bad_request', `${bad}: expected text without U+0000 and unpaired surrogates.`);
    const before = await findExperiment(tx, experiment.key);
    const { action, refusal } = judge(before, experiment);
    if (action === 'none') return experiment;
    const reason = refusal ?? conflict(await withOthers(tx, experiment));
    if (reason !== undefined) throw new HarnessError('conflict', reason);
    await write(tx, experiment, { before, action, attribution });
    return experiment;
  });
}

async function withOthers(db: Database, experiment: ExperimentDefinition): Promise<ExperimentDefinition[]> {
  return [...(await listExperiments(db)).filter(({ key }) => key !== experiment.key), experiment];
}

/** Parameters of the arms that these experiments ship, in the order in which they were shipped. */
export async function shippedPatches(db: Database, all: readonly ExperimentDefinition[]): Promise<PlanPatch[]> {
  const shipping = new Map(all.filter(({ shipped }) => shipped !== undefined).map((each) => [each.key, each]));
  if (shipping.size === 0) return [];
  const [before, after] = [experimentAudit.before, experimentAudit.after].map(
    (definition) => sql`${definition} ->> 'shipped'`,
  );
  const steps = await db
    .select({ key: experimentAudit.experiment })
    .from(experimentAudit)
    .where(
      and(
        inArray(experimentAudit.experiment, [...shipping.keys()]),
        sql`${after} is not null and ${after} is distinct from ${before}`,
      ),
    )
    .groupBy(experimentAudit.experiment)
    .orderBy(max(experimentAudit.id));
  return steps.flatMap(({ key }) => {
    const { arms, shipped } = shipping.get(key)!;
    return arms.filter((arm) => arm.key === shipped).map(({ parameters }) => parameters);
  });
}

/** Stores what ships, once in the life of a database: an experiment that was changed or stopped since stays so. */
export async function seedExperiments(db: Database, shipped: readonly ExperimentDefinition[]): Promise<void> {
  if ((await reached(db, 'config')) > 0) return;
  await db.transaction(async (tx) => {
    if ((await raise(tx, 'config')) > 1) return; // another process was faster
    for (const experiment of shipped)
      await write(tx, experiment, { before: undefined, action: 'create', attribution: SHIPPED });
  });
}

async function write(
  tx: Database,
  experiment: ExperimentDefinition,
  {
    before,
    action,
    attribution,
  }: { before: ExperimentDefinition | undefined; action: LifecycleAction; attribution: Attribution },
): Promise<void> {
  const { key, layer, status } = experiment;
  const values = { layer, status, definition: experiment, updatedAt: new Date() };
  await tx
    .insert(experiments)
    .values({ key, ...values })
    .onConflictDoUpdate({ target: experiments.key, set: values });
  await tx
    .insert(experimentAudit)
    .values({ experiment: key, action, ...attribution, before: before ?? null, after: experiment });
}

/** A page of its changes, the oldest first; throws `not_found` for a key that never was. */
export async function auditOf(db: Database, key: string, { limit, after = 0 }: AuditPage): Promise<ExperimentAudit> {
  await getExperiment(db, key);
  const found = await db
    .select()
    .from(experimentAudit)
    .where(and(eq(experimentAudit.experiment, key), gt(experimentAudit.id, after)))
    .orderBy(asc(experimentAudit.id))
    .limit(limit + 1);
  const { entries, next } = firstPage(found, { limit, keyOf: ({ id }) => id });
  return {
    entries: entries.map(({ id, at, action, by, keyId, why, before, after }) => ({
      id,
      at: at.toISOString(),
      action,
      by,
      keyId,
      why,
      differences: differences(before ?? undefined, after),
    })),
    next,
  };
}
