/** The flywheel on a market of a few words: served and clicked, exported, trained on, measured beside the live student, and served to an arm. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createCatalogue } from '../../gpu-backend/catalogue/catalogue.ts';
import { ingest } from '../../gpu-backend/events/ingest.ts';
import { type ExportSummary, exportLogs } from '../../scripts/export-logs.ts';
import type { HarnessEvent } from '../../shared/contract/events.ts';
import defaults from '../../training/default.config.ts';
import { testFolder } from '../fixtures/folder.ts';
import { call, retrieval, start } from '../setup/backend.ts';
import { newDataFolder, openEmbeddedDatabase } from '../setup/databases.ts';
import { AT_MS, sampleClick, sampleImpression } from '../setup/samples.ts';
import { TINY } from '../training/golden.ts';
import { smallAds, writeSmallMarket } from '../training/small-market.ts';

const at = testFolder('flywheel');
const DAY_MS = 86_400_000;
/** Seconds on a machine that is idle. */
const PATIENCE_MS = 600_000;
/** Days before the newest event: in the windows of training, validation and test. */
const DAYS_AGO = [8, 3, 0];
const PAUSED = smallAds().find(({ status }) => status === 'paused')!;
const ADS = smallAds().filter(({ status }) => status === 'active');

/** Words that people put together, all known to the teacher. */
const QUERIES = ['sock', 'shoe', 'belt', 'leather', 'wool'].flatMap((thing) =>
  ['red', 'blue', 'cheap', 'running'].flatMap((kind) =>
    ['for men', 'men', 'shoe', 'a', 'of wool'].map((rest) => `${thing} ${kind} ${rest}`),
  ),
);

/** Six units a query and window: half see its best ad in front, half in the second place, and one of two and of three click it. */
function served(): HarnessEvent[] {
  return DAYS_AGO.flatMap((daysAgo) =>
    QUERIES.flatMap((query, q) => {
      const shared = (title: string) => title.split(' ').filter((word) => query.split(' ').includes(word)).length;
      const [best, second] = ADS.toSorted((a, b) => shared(b.title) - shared(a.title)).map(({ id }) => id);
      return Array.from({ length: 6 }, (_, unit): HarnessEvent[] => {
        const id = `page-${daysAgo}-${q}-${unit}`;
        const shown = unit % 2 === 0 ? [best!, second!] : [second!, best!];
        const slots = shown.map((adId, i) => ({
          position: i + 1,
          adId,
          relevance: 1,
          priceMicros: 1,
          retrievers: ['dense'],
        }));
        const atMs = AT_MS - daysAgo * DAY_MS;
        const page = { id, atMs, unitId: `unit-${unit}`, consent: true, query, slots, assignments: [] };
        const impression = sampleImpression(page);
        const position = shown.indexOf(best!) + 1;
        if (unit !== 0 && unit !== 2 && unit !== 1) return [impression];
        return [impression, sampleClick({ id: `${id}:${position}`, impressionId: id, adId: best!, position, atMs })];
      }).flat();
    }),
  );
}

async function recipe(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [resolve('training/recipe.ts'), ...args, '--config', 'config.json'], {
    cwd: at('.'),
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect(code, err).toBe(0);
  return out;
}

/** Settings of a run of seconds. The teacher is not tuned: its space stays, so that the next student finds the same ads. */
function configure(name: string): void {
  const small = { batch: 8, warmupSteps: 2, checkpointEvery: 10 };
  const config = {
    ...defaults,
    name,
    teacher: { from: TINY, context: false },
    threads: 1,
    data: { ...defaults.data, parts: 2 },
    finetune: { ...defaults.finetune, steps: 0 },
    student: { ...defaults.student, stages: [{ layers: 2, intermediate: 48, share: 1 }], maxTokens: 12 },
    align: { ...defaults.align, ...small, steps: 60, learningRate: 3e-3 },
    refine: { ...defaults.refine, ...small, steps: 10, negatives: { ...defaults.refine.negatives, refreshEvery: 10 } },
    harden: [],
    floors: {
      static: { dimension: 16, sif: 1e-3, alignSteps: 5, refineSteps: 5, learningRate: 3e-3 },
      naive: { steps: 5 },
    },
    export: { ...defaults.export, calibrationTexts: 8 },
    evaluate: { bootstrapSamples: 20, speedTexts: 20, curveQueries: 5 },
  };
  writeFileSync(join(at('.'), 'config.json'), JSON.stringify(config));
}

describe('the flywheel', () => {
  let exported: ExportSummary;

  beforeAll(async () => {
    mkdirSync(at('.'), { recursive: true });
    const database = await openEmbeddedDatabase();
    const { db } = database;
    const quiet = { follow: async () => {}, onKillListChange: async () => {} };
    const catalogue = createCatalogue({ db, space: { spaceId: 'x', dimension: 2 }, ...quiet });
    await catalogue.putMany(smallAds());
    // Ads come and go: the live student was published with one that is gone, and without one that is there.
    await catalogue.remove(PAUSED.id);
    await catalogue.putMany([{ ...PAUSED, id: 'ad-new', title: 'new wool', status: 'active' }]);
    expect((await ingest(served(), { db })).rejected).toEqual([]);
    const window = { minUnits: 5, days: 30, validationDays: 3, testDays: 2, heldOut: 0.3 };
    exported = await exportLogs(db, { out: at('log'), ...window });
    await database.close();
    await writeSmallMarket(at('market'));
    configure('live');
    await recipe('--data', 'market', '--out', 'live');
    configure('next');
    await recipe('--data', 'log', '--out', 'next');
  }, PATIENCE_MS);

  test('exports what was asked, with the second place looked at less', () => {
    const { train, validation, test: tests } = exported.queries;
    expect(train + validation + tests).toBe(QUERIES.length);
    expect(Math.min(validation, tests)).toBeGreaterThan(5);
    expect(exported.clickedPairs).toBe(train);
    expect(exported.examination![1]).toBeCloseTo(0.5, 5);
  });

  test('measures the next student beside the live one on what people asked since', async () => {
    const measure = async (bundle: string) =>
      JSON.parse(await recipe('evaluate', '--data', 'log', '--bundle', bundle, '--json')) as {
        queries: number;
        student: { p10: number };
        recovery: { p10: number };
      };
    const [live, next] = [await measure('live'), await measure('next')];
    expect(next.queries).toBe(exported.queries.test);
    expect(live.queries).toBe(next.queries);
    for (const { recovery } of [live, next]) expect(recovery.p10).toBeGreaterThan(0);
  });

  test('is served to the arm that names it, over the same ads, and to nobody else', async () => {
    const data = await newDataFolder();
    for (const bundle of ['live', 'next']) cpSync(at(bundle), join(data, bundle), { recursive: true });
    const folders = { bundle: join(data, 'live'), data, remove: () => {} };
    const backend = await start(folders, { HARNESS_CANDIDATE_BUNDLE: join(data, 'next') });
    onTestFinished(() => backend.stop());
    await call(backend.url, 'POST /v1/ads:batch', { body: { ads: smallAds() } });
    expect((await call(backend.url, 'POST /v1/generations', { body: { action: 'build' } })).status).toBe(201);
    const ask = (model?: string) => {
      const plan = {
        retrievers: ['dense' as const],
        k: 20,
        minRelevance: 0,
        ...(model === undefined ? {} : { model }),
      };
      return call<{
        model: string;
        generation: number;
        candidates: { relevance: number }[];
        code?: string;
        detail?: string;
      }>(backend.url, 'POST /v1/retrieve', { body: retrieval('red sock', { plan }) });
    };
    const [byDefault, byName, next] = [await ask(), await ask('live'), await ask('next')];
    expect([byDefault, byName, next].map(({ body }) => body.model)).toEqual(['live', 'live', 'next']);
    expect(byName.body.candidates).toEqual(byDefault.body.candidates);
    expect(next.body.generation).toBe(byDefault.body.generation);
    expect(next.body.candidates.map(({ relevance }) => relevance)).not.toEqual(
      byDefault.body.candidates.map(({ relevance }) => relevance),
    );
    const unknown = await ask('other');
    expect([unknown.status, unknown.body.code]).toEqual([409, 'model_mismatch']);
    expect(unknown.body.detail).toMatch(/expected live or next, got other/);
  });
});
