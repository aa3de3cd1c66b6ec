import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  auditOf,
  getExperiment,
  pageOfExperiments,
  planExperiment,
  putExperiment,
  stepExperiment,
} from '../../../gpu-backend/serving-config/experiment-store.ts';
import { openServingConfig } from '../../../gpu-backend/serving-config/serving-config.ts';
import type { ExperimentStep } from '../../../shared/contract/lifecycle.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../../../shared/defaults.ts';
import { DATABASES } from '../../setup/databases.ts';
import { useDatabase } from '../../setup/hooks.ts';
import { sampleExperiment } from '../../setup/samples.ts';

const ana = { by: 'ana', keyId: 'k1', why: 'first try' };

describe.each(DATABASES)('experiments on the %s database', (_name, open) => {
  const database = useDatabase(open);
  beforeEach(() => database.db.execute(sql`truncate experiments, experiment_audit, counters`).then(() => {}));

  const put = (change: Parameters<typeof sampleExperiment>[0] = {}) =>
    putExperiment(database.db, sampleExperiment(change), ana);
  const step = (given: Pick<ExperimentStep, 'action'> & Record<string, unknown>) =>
    stepExperiment(database.db, 'threshold', {
      step: { why: 'because', ...given } as ExperimentStep,
      attribution: { by: 'bo', keyId: 'k2', why: 'because' },
    });
  const audit = (key = 'threshold') => auditOf(database.db, key, { limit: 1_000 });
  const actions = async () => (await audit()).entries.map(({ action }) => action);

  it('come in pages by key, and their changes in the order of time', async () => {
    for (const key of ['c', 'a', 'b']) await put({ key, layer: key });
    const page = async (after?: string) => {
      const { experiments, next } = await pageOfExperiments(database.db, { limit: 2, after });
      return [experiments.map(({ key }) => key), next];
    };
    expect([await page(), await page('b'), await page('c')]).toEqual([
      [['a', 'b'], 'b'],
      [['c'], null],
      [[], null],
    ]);
    for (const status of ['stopped', 'archived'] as const) await put({ key: 'b', layer: 'b', status });
    const first = await auditOf(database.db, 'b', { limit: 2 });
    expect(first.entries.map(({ action }) => action)).toEqual(['create', 'stop']);
    expect(first.next).toBe(first.entries[1]!.id);
    const last = await auditOf(database.db, 'b', { limit: 2, after: first.next! });
    expect([last.entries.map(({ action }) => action), last.next]).toEqual([['archive'], null]);
  });

  it('make an arm everybody’s plan when they ship it: the later over the earlier, until it is withdrawn', async () => {
    const config = await openServingConfig(database.db, DEFAULT_CONFIG);
    const plan = async () => (await config.refresh()).plan;
    const { plan: before } = DEFAULT_CONFIG;
    const arms = (parameters: object) => [
      { key: 'control', weight: 1, parameters: {} },
      { key: 'won', weight: 1, parameters },
    ];
    const ship = (key: string) =>
      stepExperiment(database.db, key, {
        step: { action: 'ship', arm: 'won', why: 'it pays' },
        attribution: { by: 'bo', keyId: 'k2', why: 'it pays' },
      });
    await put({ key: 'threshold', layer: 'a', arms: arms({ k: 20, minRelevance: 0.3 }) });
    await put({ key: 'another', layer: 'b', arms: arms({ k: 30 }) });
    expect(await plan()).toEqual(before);
    expect(await ship('another')).toMatchObject({ status: 'stopped', shipped: 'won' });
    expect(await plan()).toEqual({ ...before, k: 30 });
    await ship('threshold');
    const { plan: both, experiments, version } = await config.refresh();
    expect(both).toEqual({ ...before, k: 20, minRelevance: 0.3 });
    expect(experiments.map((experiment) => 'shipped' in experiment)).not.toContain(true);
    await ship('threshold');
    expect((await audit()).entries.map(({ action, by, why }) => [action, by, why])).toEqual([
      ['create', 'ana', 'first try'],
      ['ship', 'bo', 'it pays'],
    ]);
    // The archive ends the experiment, and not what it brought.
    await step({ action: 'archive' });
    expect(await plan()).toEqual(both);
    await put({ key: 'another', layer: 'b', arms: arms({ k: 30 }), status: 'stopped' });
    expect(await plan()).toEqual(both);
    expect(await actions()).toEqual(['create', 'ship', 'archive']);
    expect((await config.refresh()).version).toBeGreaterThan(version);
    // Shipped once more, it is the later one.
    await ship('another');
    expect(await plan()).toEqual({ ...both, k: 30 });
    await stepExperiment(database.db, 'another', {
      step: { action: 'withdraw', why: 'not that one' },
      attribution: { by: 'bo', keyId: 'k2', why: 'not that one' },
    });
    expect(await plan()).toEqual(both);
    await step({ action: 'withdraw' });
    expect(await plan()).toEqual(before);
  });

  it('of a newer release end the start of an older one in one line', async () => {
    await put({});
    await database.db.execute(sql`update experiments set definition = jsonb_set(definition, '{novel}', '1')`);
    await expect(openServingConfig(database.db, DEFAULT_CONFIG)).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringMatching(/^experiment threshold: .*novel.*newer release/),
    });
  });

  it('ship an arm that they have, and only when they have run', async () => {
    await put({ status: 'draft' });
    await expect(step({ action: 'ship', arm: 'control' })).rejects.toMatchObject({ code: 'conflict' });
    await step({ action: 'start' });
    await expect(step({ action: 'ship', arm: 'winner' })).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('shipped: expected one of control, lower, got winner'),
    });
    expect(await getExperiment(database.db, 'threshold')).toMatchObject({ status: 'running' });
  });

  it('live from draft to archive, and every step is on record', async () => {
    await put({ status: 'draft' });
    await step({ action: 'start' });
    await step({ action: 'ramp', buckets: [0, 8_000], share: 1 });
    await step({ action: 'stop' });
    await expect(step({ action: 'start' })).rejects.toMatchObject({ code: 'conflict', message: /version 2/ });
    await expect(put({ buckets: [0, 8_000], targeting: { share: 1 } })).rejects.toMatchObject({ code: 'conflict' });
    await put({ buckets: [0, 8_000], targeting: { share: 1 }, version: 2 });
    await step({ action: 'stop' });
    await step({ action: 'archive' });
    await expect(step({ action: 'start' })).rejects.toMatchObject({ message: /another key/ });
    const { entries } = await audit();
    expect(entries.map(({ action, by, keyId }) => `${action} ${by} ${keyId}`)).toEqual([
      'create ana k1',
      'start bo k2',
      'ramp bo k2',
      'stop bo k2',
      'restart ana k1',
      'stop bo k2',
      'archive bo k2',
    ]);
    expect(entries[2]!.differences).toEqual([
      { path: 'buckets', from: [0, 5_000], to: [0, 8_000] },
      { path: 'targeting.share', from: undefined, to: 1 },
    ]);
    expect(entries[3]).toMatchObject({
      why: 'because',
      differences: [{ path: 'status', from: 'running', to: 'stopped' }],
    });
  });

  it('are ramped outwards only, and only while they run', async () => {
    await put({ targeting: { share: 0.5 } });
    await expect(step({ action: 'ramp', buckets: [1, 6_000] })).rejects.toMatchObject({ code: 'conflict' });
    await expect(step({ action: 'ramp', share: 0.4 })).rejects.toMatchObject({ code: 'conflict' });
    await expect(step({ action: 'ramp' })).rejects.toMatchObject({ code: 'bad_request' });
    await put({ key: 'next', buckets: [5_000, 10_000] });
    await expect(step({ action: 'ramp', buckets: [0, 5_001] })).rejects.toMatchObject({ message: /overlap/ });
    await step({ action: 'ramp', share: 0.75 });
    expect((await getExperiment(database.db, 'threshold')).targeting).toEqual({ share: 0.75 });
    await step({ action: 'stop' });
    await expect(step({ action: 'ramp', share: 1 })).rejects.toMatchObject({ message: /is stopped/ });
    expect(await actions()).toEqual(['create', 'ramp', 'stop']);
  });

  it('can be planned without being changed', async () => {
    const plan = (change: Parameters<typeof sampleExperiment>[0]) =>
      planExperiment(database.db, sampleExperiment(change));
    expect(await plan({})).toMatchObject({ action: 'create', problem: null });
    await put();
    expect(await plan({})).toEqual({ action: 'none', differences: [], problem: null });
    expect(await plan({ buckets: [0, 6_000] })).toEqual({
      action: 'ramp',
      differences: [{ path: 'buckets', from: [0, 5_000], to: [0, 6_000] }],
      problem: null,
    });
    expect((await plan({ layer: 'other' })).problem).toContain('layer decides');
    expect((await plan({ key: 'second' })).problem).toContain('overlap');
    expect(await actions()).toEqual(['create']);
  });

  it('leave the record alone where nothing changes, or the change is refused', async () => {
    await put();
    await put();
    await expect(put({ layer: 'other' })).rejects.toMatchObject({ code: 'conflict' });
    expect(await actions()).toEqual(['create']);
  });

  it('have a record that nobody can change or shorten', async () => {
    await put();
    for (const statement of [sql`update experiment_audit set by = 'x'`, sql`delete from experiment_audit`])
      await expect(database.db.execute(statement)).rejects.toMatchObject({
        cause: { message: expect.stringContaining('append-only') },
      });
    expect(await actions()).toEqual(['create']);
  });

  it('that ship are on record too, and archived ones are no longer served', async () => {
    const config = await openServingConfig(database.db, DEFAULT_CONFIG);
    expect((await audit(DEFAULT_EXPERIMENT)).entries).toMatchObject([{ action: 'create', by: 'harness', keyId: null }]);
    const shipped = DEFAULT_CONFIG.experiments[0]!;
    await putExperiment(database.db, { ...shipped, status: 'stopped' }, ana);
    expect((await config.refresh()).experiments).toHaveLength(1);
    await putExperiment(database.db, { ...shipped, status: 'archived' }, ana);
    expect((await config.refresh()).experiments).toEqual([]);
  });
});
