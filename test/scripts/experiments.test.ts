import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Backend } from '../../gpu-backend/main.ts';
import { type BackendClient, backendClient } from '../../scripts/backend-client.ts';
import { applyPlan, planFiles, planText, readDefinitions } from '../../scripts/experiments.ts';
import type { ExperimentAudit } from '../../shared/contract/lifecycle.ts';
import { DEFAULT_CONFIG, DEFAULT_EXPERIMENT } from '../../shared/defaults.ts';
import { parseKeyRing } from '../../shared/signature.ts';
import { call as callUnsigned, makeFolders, start, TEST_KEYS, type TestFolders } from '../setup/backend.ts';
import { sampleExperiment } from '../setup/samples.ts';

it('the files of the repository are the experiments that ship', () => {
  expect(readDefinitions('experiments')).toEqual(DEFAULT_CONFIG.experiments);
});

it('what cannot be read is refused: no folder, and a misspelt field by its own name', () => {
  expect(() => readDefinitions('experiment')).toThrow('--dir: expected a folder of KEY.json files, got experiment.');
  const dir = mkdtempSync(join(tmpdir(), 'harness-experiments-'));
  const { status, ...rest } = sampleExperiment();
  writeFileSync(join(dir, 'threshold.json'), JSON.stringify({ ...rest, satus: status }));
  expect(() => readDefinitions(dir)).toThrow(/threshold\.json: Unrecognized key: "satus"$/);
  expect(() => readDefinitions(join(dir, 'threshold.json'))).toThrow('--dir: expected a folder of KEY.json files, got');
  rmSync(dir, { recursive: true });
});

it('a folder may have any name, and hidden files in it', () => {
  const dir = mkdtempSync(join(tmpdir(), 'harness-experiments-'));
  const odd = join(dir, '{a,b} [team] *');
  mkdirSync(odd);
  writeFileSync(join(odd, 'threshold.json'), JSON.stringify(sampleExperiment()));
  writeFileSync(join(odd, '._threshold.json'), '\0');
  expect(readDefinitions(odd)).toEqual([sampleExperiment()]);
  rmSync(dir, { recursive: true });
});

describe('experiments as files', () => {
  let folders: TestFolders;
  let backend: Backend;
  let call: BackendClient;
  let dir: string;
  beforeAll(async () => {
    folders = await makeFolders();
    backend = await start(folders);
    call = backendClient(backend.url, parseKeyRing(TEST_KEYS));
  });
  afterAll(async () => {
    await backend?.stop();
    folders?.remove();
  });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'harness-experiments-'));
    return () => rmSync(dir, { recursive: true, force: true });
  });
  const write = (definition: unknown, key = 'threshold') =>
    writeFileSync(join(dir, `${key}.json`), JSON.stringify(definition));
  const plan = () => planFiles(call, readDefinitions(dir));
  const apply = async () => applyPlan(call, await plan(), { by: 'ana', why: 'from a test' });

  it('are planned, applied, and planned again to nothing; who and why is on record', async () => {
    write(sampleExperiment());
    expect(planText(await plan())).toBe(
      [
        'create threshold',
        '  + key: "threshold"',
        '  + layer: "ranking"',
        '  + description: "A lower relevance threshold."',
        '  + status: "running"',
        '  + buckets: [0,5000]',
        '  + control: "control"',
        '  + arms: ["control","lower"]',
        '  + arms.control.weight: 1',
        '  + arms.lower.weight: 1',
        '  + arms.lower.parameters.minRelevance: 0.1',
        '1 to change, 0 as in the files.',
        `Without a file, left alone: ${DEFAULT_EXPERIMENT}.`,
      ].join('\n'),
    );
    expect(await apply()).toEqual(['threshold']);
    expect(await apply()).toEqual([]);
    write(sampleExperiment({ buckets: [0, 6_000] }));
    const text = planText(await plan());
    expect(text).toContain('ramp threshold\n  - buckets: [0,5000]\n  + buckets: [0,6000]');
    expect(await apply()).toEqual(['threshold']);
    const { body } = await callUnsigned<ExperimentAudit>(backend.url, 'GET /v1/experiments/threshold/audit', {
      unsigned: true,
    });
    expect(body.entries.map(({ action, by, keyId, why }) => [action, by, keyId, why])).toEqual([
      ['create', 'ana', 'test', 'from a test'],
      ['ramp', 'ana', 'test', 'from a test'],
    ]);
  });

  it('that end make room for those that begin; what is refused is said before, and refused', async () => {
    write(sampleExperiment({ buckets: [0, 6_000], status: 'stopped' }));
    write(sampleExperiment({ key: 'another', buckets: [0, 10_000] }), 'another');
    expect(planText(await plan())).toMatch(/^stop threshold\n[^!]*create another\n(?:.|\n)*! Layer ranking.*overlap/);
    expect(await apply()).toEqual(['threshold', 'another']);
    write(sampleExperiment({ buckets: [0, 6_000] }));
    expect(planText(await plan())).toContain('! threshold was stopped: it cannot become running');
    await expect(apply()).rejects.toMatchObject({ code: 'conflict' });
  });

  it('are steps over the API as well', async () => {
    const step = (body: unknown) => callUnsigned(backend.url, 'POST /v1/experiments/another', { body });
    const started = await callUnsigned(backend.url, 'PUT /v1/experiments/another?by=bo&why=more%20room', {
      body: sampleExperiment({ key: 'another', buckets: [0, 2_000], version: 2 }),
    });
    expect(started.status).toBe(200);
    expect((await step({ action: 'ramp', buckets: [0, 9_000], why: 'it is well' })).body).toMatchObject({
      buckets: [0, 9_000],
    });
    expect((await step({ action: 'ramp', buckets: [0, 100], why: 'less' })).status).toBe(409);
    expect((await step({ action: 'stop' })).body).toMatchObject({ code: 'bad_request' });
    expect((await step({ action: 'stop', why: 'enough' })).body).toMatchObject({ status: 'stopped' });
  });

  it('that are none are named by file and field', () => {
    write({ ...sampleExperiment(), buckets: [5, 5] });
    expect(() => readDefinitions(dir)).toThrow(/threshold\.json\.buckets: expected \[from, to\) with from < to/);
    write('{');
    write(sampleExperiment(), 'other');
    rmSync(join(dir, 'threshold.json'));
    expect(() => readDefinitions(dir)).toThrow(/other\.json: expected the name threshold\.json/);
    writeFileSync(join(dir, 'broken.json'), '{');
    expect(() => readDefinitions(dir)).toThrow(/broken\.json: expected JSON/);
  });
});
