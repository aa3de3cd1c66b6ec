import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerDashboard } from '../../gpu-backend/dashboard/dashboard.ts';
import { buildDetailedReport } from '../../gpu-backend/experiments/detailed-report.ts';
import { DetailedReport } from '../../shared/contract/report-detail.ts';
import { problemResponse } from '../../shared/problem.ts';
import { experimentOf, storeEvents, storeExperiment, trafficOf } from '../fixtures/experiment-traffic.ts';
import { openEmbeddedDatabase, type TestDatabase } from '../setup/databases.ts';

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, ['scripts/report.ts', ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    ),
  );
}

describe('npm run report', () => {
  let database: TestDatabase;
  let server: ReturnType<typeof serve>;
  let backend: string;
  beforeAll(async () => {
    database = await openEmbeddedDatabase();
    await storeExperiment(database.db, experimentOf('student-retrieval'));
    await storeEvents(database.db, trafficOf({ seed: 1, units: 150, experiment: 'student-retrieval' }));
    const app = new Hono()
      .get('/v1/experiments/:key/report', async (c) =>
        c.json(await buildDetailedReport(database.db, c.req.param('key'))),
      )
      .get('/dashboard', (c) => answerDashboard(database.db, c.req.query()));
    app.onError((error) => problemResponse(error));
    const { port } = await new Promise<AddressInfo>((listening) => {
      server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, listening);
    });
    backend = `http://127.0.0.1:${port}`;
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    await database.close();
  });

  it('prints both arms side by side, aligned, with interval, sample ratio and what was left out', async () => {
    const { code, stdout } = await run('--backend', backend);
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    const header = lines.find((line) => line.includes('difference'))!;
    expect(header.trim().split(/ {3,}/)).toEqual([
      'control',
      'treatment',
      'difference',
      '95 % interval',
      'at any look',
      'p',
    ]);
    const revenue = lines.find((line) => line.startsWith('Revenue per 1,000 queries'))!;
    expect(revenue).toMatch(/ {3}[\d.,]+ {3,}[\d.,]+ {3,}[+−][\d.]+ % {3,}[+−][\d.]+ % to [+−][\d.]+ % {3,}[<\d. ]+/);
    expect(stdout).toMatch(/^treatment: (SHIP|HOLD|ROLL BACK|NO VERDICT)\. .+ \[\w+\]$/m);
    expect(lines.some((line) => /^Guardrails, treatment {3,}difference/.test(line))).toBe(true);
    expect(revenue.indexOf('%')).toBe(header.indexOf('difference') + 'difference'.length - 1);
    for (const title of [
      'Ads shown ',
      'Clicks ',
      'Clicks per ad shown (CTR)',
      'Revenue ',
      'Sample ratio: ok.',
      'Left out: ',
    ])
      expect(
        lines.some((line) => line.startsWith(title)),
        title,
      ).toBe(true);
  });

  it('prints JSON that is the report', async () => {
    const { code, stdout } = await run('--backend', backend, '--experiment', 'student-retrieval', '--json');
    expect(code).toBe(0);
    expect(DetailedReport.parse(JSON.parse(stdout))).toEqual(
      await buildDetailedReport(database.db, 'student-retrieval'),
    );
  });

  it('writes a page that needs nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'harness-report-'));
    try {
      const { code, stdout } = await run('--backend', backend, '--html', join(folder, 'report.html'));
      expect([code, stdout]).toEqual([0, '']);
      const page = readFileSync(join(folder, 'report.html'), 'utf8');
      expect(page).toContain('<h1>student-retrieval</h1>');
      expect(
        [...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, to]) => to).filter((to) => !/^(#|data:)/.test(to!)),
      ).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    ['an unknown experiment', ['--experiment', 'nothing'], 'There is no experiment "nothing".'],
    ['no backend', ['--backend', 'http://127.0.0.1:9'], 'No backend answers at http://127.0.0.1:9; start the system'],
    ['a URL that is none', ['--backend', 'here'], '--backend: expected a URL such as'],
    [
      'a file that cannot be written',
      ['--html', '/nowhere/report.html'],
      '--html: /nowhere/report.html cannot be written',
    ],
    ['an option that is none', ['--experimnt', 'x'], "unknown option '--experimnt'"],
  ])('says in one line what is wrong: %s', async (_what, args, message) => {
    const { code, stdout, stderr } = await run('--backend', backend, ...args);
    expect(code).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(2);
    expect(stderr).not.toContain('    at ');
  });
});
