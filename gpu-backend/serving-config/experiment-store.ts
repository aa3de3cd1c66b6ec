/** Experiments as the database keeps them. A set of experiments that cannot run together is refused. */
import { asc, eq } from 'drizzle-orm';
import { Experiment } from '../../shared/experiment.ts';
import { conflict } from '../../shared/experiment-set.ts';
import { HarnessError } from '../../shared/problem.ts';
import type { Database } from '../db/connect.ts';
import { raise, reached } from '../db/counters.ts';
import { experiments } from '../db/schema.ts';
import { unstorable } from '../db/storable.ts';

export async function listExperiments(db: Database): Promise<Experiment[]> {
  const found = await db.select().from(experiments).orderBy(asc(experiments.key));
  return found.map(({ definition }) => Experiment.parse(definition));
}

/** Throws `not_found`. */
export async function getExperiment(db: Database, key: string): Promise<Experiment> {
  const [row] = await db.select().from(experiments).where(eq(experiments.key, key));
  if (row === undefined) throw new HarnessError('not_found', `There is no experiment "${key}".`);
  return Experiment.parse(row.definition);
}

/** Creates or replaces; throws `conflict` when it cannot run together with those that do. */
export async function putExperiment(db: Database, experiment: Experiment): Promise<void> {
  const bad = unstorable(experiment);
  if (bad !== undefined)
    throw new HarnessError('bad_request', `experiment.${bad}: expected text without U+0000 and unpaired surrogates.`);
  await db.transaction(async (tx) => {
    await raise(tx, 'config'); // first: its lock lets one writer check and write at a time
    const others = (await listExperiments(tx)).filter(({ key }) => key !== experiment.key);
    const reason = conflict([...others, experiment]);
    if (reason !== undefined) throw new HarnessError('conflict', reason);
    await write(tx, experiment);
  });
}

/** Stores what ships, once in the life of a database: an experiment that was changed or stopped since stays so. */
export async function seedExperiments(db: Database, shipped: readonly Experiment[]): Promise<void> {
  if ((await reached(db, 'config')) > 0) return;
  await db.transaction(async (tx) => {
    if ((await raise(tx, 'config')) > 1) return; // another process was faster
    for (const experiment of shipped) await write(tx, experiment);
  });
}

async function write(tx: Database, experiment: Experiment): Promise<void> {
  const { key, layer, status } = experiment;
  const values = { layer, status, definition: experiment, updatedAt: new Date() };
  await tx
    .insert(experiments)
    .values({ key, ...values })
    .onConflictDoUpdate({ target: experiments.key, set: values });
}
