/**
 * What the edge serves by, assembled from the database. Its version is a counter that each change raises in the change's
 * own transaction, so it never goes back and never names two contents. A copy is kept for the headers of every answer.
 */
import { isDeepStrictEqual } from 'node:util';
import { ServingConfig, type ServingDefaults } from '../../shared/contract/config.ts';
import { NEWS_HEADERS } from '../../shared/contract/retrieve.ts';
import { canonicalJson } from '../../shared/digest.ts';
import { resolvePlan } from '../../shared/plan.ts';
import { killList, reachOf } from '../catalogue/kill-list.ts';
import type { Database } from '../db/connect.ts';
import { raise, reached } from '../db/counters.ts';
import { servingDefaults } from '../db/schema.ts';
import { listExperiments, seedExperiments, shippedPatches } from './experiment-store.ts';

export interface ServingConfigSource {
  /** As last read. */
  current(): ServingConfig;
  /** Reads the database again; to be called after each change, before it is acknowledged. */
  refresh(): Promise<ServingConfig>;
  /** As of now, for whoever asks again and again: the copy while its version stands, which is a small thing to ask, else read again. */
  confirm(): Promise<ServingConfig>;
  /** Headers that tell the edge of news with every answer. */
  news(): Record<string, string>;
}

/** How often it is looked for what no version tells of; more seldom where reading takes long. */
const UNTOLD_MS = 250;
/** Of the time, at most so much is spent on that. */
const UNTOLD_SHARE = 1 / 4;

/** Stores the shipped experiments in a new database, and the shipped defaults wherever they differ; then reads the configuration. */
export async function openServingConfig(
  db: Database,
  shipped: ServingConfig,
  { untoldMs = UNTOLD_MS }: { untoldMs?: number } = {},
): Promise<ServingConfigSource> {
  await seedExperiments(db, shipped.experiments);
  await storeDefaults(db, shipped);
  let current = await assemble(db);
  let lookAtMs = Number.NEGATIVE_INFINITY;
  const refresh = oneAtATime(async () => {
    const beganMs = performance.now();
    let read = await assemble(db);
    if (read.version === current.version && !isDeepStrictEqual(read.killList, current.killList)) {
      // Clicks and a budget that were stored side by side, or the end of a day: nobody saw the list change, and edges go by its version.
      await raise(db, 'config');
      read = await assemble(db);
    }
    if (read.version >= current.version) current = read;
    const nowMs = performance.now();
    lookAtMs = nowMs + Math.max(untoldMs, (nowMs - beganMs) / UNTOLD_SHARE);
    return current;
  });
  return {
    current: () => current,
    refresh,
    confirm: async () =>
      performance.now() < lookAtMs && (await reached(db, 'config')) === current.version ? current : refresh(),
    news: () => ({
      [NEWS_HEADERS.configVersion]: String(current.version),
      ...(current.generation === null ? {} : { [NEWS_HEADERS.generation]: String(current.generation) }),
    }),
  };
}

/** Calls one after the other. Whoever comes during one shares the next with all others who do: it begins after they came. */
function oneAtATime<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  const begin = () => {
    next = undefined;
    const mine = work();
    running = mine.catch(() => undefined);
    return mine;
  };
  return () => (next ??= running.then(begin));
}

/** Under a version of their own: a backend of another release serves them too, or one version would name two contents. */
async function storeDefaults(db: Database, { markets, locales, plan, auction }: ServingDefaults): Promise<void> {
  const content = { markets, locales, plan, auction };
  const said = canonicalJson(content);
  if (canonicalJson(await defaultsIn(db)) === said) return;
  await db.transaction(async (tx) => {
    await raise(tx, 'config'); // first: its lock lets one writer write at a time
    await tx
      .insert(servingDefaults)
      .values({ content })
      .onConflictDoUpdate({ target: servingDefaults.id, set: { content } });
  });
}

async function defaultsIn(db: Database): Promise<ServingDefaults | null> {
  const [row] = await db.select().from(servingDefaults);
  return row?.content ?? null;
}

/** One consistent snapshot. */
function assemble(db: Database): Promise<ServingConfig> {
  return db.transaction(
    async (tx) => {
      const reach = await reachOf(tx);
      const defaults = (await defaultsIn(tx))!;
      const experiments = await listExperiments(tx);
      return ServingConfig.parse({
        ...defaults,
        plan: resolvePlan(defaults.plan, await shippedPatches(tx, experiments)),
        version: await reached(tx, 'config'),
        generation: reach?.live ?? null,
        // what only reports read stays here
        experiments: experiments
          .filter(({ status }) => status !== 'archived')
          .map(({ metrics: _, rules: __, shipped: ___, ...served }) => served),
        killList: await killList(tx),
        killListSince: reach?.since,
      });
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
  );
}
