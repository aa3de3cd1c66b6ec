/** Overrides are signed for what there is: experiments of a running backend, or files. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readArms } from '../../scripts/override.ts';
import { readOverride } from '../../shared/qa-override.ts';
import { parseKeyRing } from '../../shared/signature.ts';
import { sampleExperiment } from '../setup/samples.ts';

const KEYS = 'test:0123456789abcdef';
const threshold = sampleExperiment();
const other = sampleExperiment({ key: 'other', status: 'draft', layer: 'elsewhere' });
const beside = sampleExperiment({ key: 'beside', layer: threshold.layer });

describe('the arms to force', () => {
  it('are known', () => {
    expect(readArms(['threshold=lower', 'other=control'], [threshold, other])).toEqual({
      threshold: 'lower',
      other: 'control',
    });
  });

  it.each([
    [['threshold'], 'Expected experiment=arm, got threshold.'],
    [['a=b=c'], 'Expected experiment=arm, got a=b=c.'],
    [['treshold=lower'], 'treshold=lower: there is no experiment treshold; there are beside, other, threshold.'],
    [['threshold=upper'], 'threshold=upper: threshold has no arm upper; it has control, lower.'],
    [['other=lower', 'other=control'], 'other=control: expected one arm of other, got lower before.'],
    [
      ['threshold=lower', 'beside=lower'],
      `beside=lower: nobody is in two experiments of layer ${threshold.layer}, and there is threshold before.`,
    ],
  ])('%j is refused in one line', (pairs, message) => {
    expect(() => readArms(pairs, [threshold, other, beside])).toThrow(
      expect.objectContaining({ code: 'bad_request', message }) as Error,
    );
  });

  it('cannot be any where there is no experiment', () => {
    expect(() => readArms(['a=b'], [])).toThrow('a=b: there is no experiment a; there are none.');
  });
});

describe('scripts/override.ts', () => {
  let server: ReturnType<typeof serve>;
  let backend: string;
  beforeAll(async () => {
    const pages = [
      { experiments: [sampleExperiment({ key: 'old', status: 'archived' })], next: 'old' },
      { experiments: [threshold], next: null },
    ];
    const app = new Hono().get('/v1/experiments', (c) => c.json(pages[c.req.query('after') === 'old' ? 1 : 0]!));
    const { port } = await new Promise<AddressInfo>((listening) => {
      server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, listening);
    });
    backend = `http://127.0.0.1:${port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const run = (...args: string[]) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) =>
      execFile(
        process.execPath,
        ['scripts/override.ts', ...args],
        { env: { ...process.env, HARNESS_KEYS: KEYS } },
        (error, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      ),
    );

  it('signs what the backend has', async () => {
    const { stdout } = await run('threshold=lower', '--backend', backend, '--edge', 'http://edge');
    const url = new URL(stdout.trim());
    expect([url.origin, url.pathname]).toEqual(['http://edge', '/v1/ads']);
    const arms = await readOverride(parseKeyRing(KEYS), url.searchParams.get('qa')!, Date.now());
    expect([...arms]).toEqual([['threshold', 'lower']]);
  });

  it('signs nothing else: what is archived no edge knows', async () => {
    expect(await run('old=lower', '--backend', backend)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: 'old=lower: there is no experiment old; there are threshold.\n',
    });
  });

  it('goes by files where they are given, without a backend', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'harness-override-'));
    writeFileSync(join(dir, 'other.json'), JSON.stringify(other));
    expect((await run('other=lower', '--dir', dir)).stdout).toContain('/v1/ads?q=running+shoes&qa=');
    expect((await run('threshold=lower', '--dir', dir)).stderr).toContain('there are other.');
    rmSync(dir, { recursive: true });
  });
});
