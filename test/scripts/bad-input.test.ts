/** What the command lines say to what they cannot use: one line that names it and what was expected, never a stack. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'harness-bad-input-'));
const file = join(folder, 'file');
/** Somebody else's server: a page for whatever is asked. */
const server = createServer((_, response) => response.writeHead(404).end('<!DOCTYPE html>'));
let other: string;
beforeAll(async () => {
  writeFileSync(file, '{"not": "an ad"}\n');
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  other = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

function run(command: readonly string[], env: Record<string, string | undefined> = {}) {
  const settings = { HARNESS_KEYS: 'test:0123456789abcdef', HARNESS_DATA: folder, ...env };
  return new Promise<{ code: unknown; stderr: string }>((resolve) =>
    execFile(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', ...command],
      { env: { ...process.env, DATABASE_URL: '', ...settings } },
      (error, _stdout, stderr) => resolve({ code: error?.code, stderr }),
    ),
  );
}

const URL_WANTED = 'expected a URL such as http://127.0.0.1:8788, got';

it.concurrent.each<{ command: string[]; env?: Record<string, string | undefined>; says: string }>([
  { command: ['scripts/report.ts', '--backend', 'nonsense'], says: `--backend: ${URL_WANTED} nonsense.` },
  { command: ['scripts/report.ts', '--backend', 'localhost:8788'], says: `--backend: ${URL_WANTED} localhost:8788.` },
  { command: ['scripts/experiments.ts', 'plan', '--backend', 'nonsense'], says: `--backend: ${URL_WANTED} nonsense.` },
  { command: ['scripts/override.ts', 'a=b', '--backend', 'nonsense'], says: `--backend: ${URL_WANTED} nonsense.` },
  { command: ['scripts/override.ts', 'a=b', '--edge', 'nonsense'], says: `--edge: ${URL_WANTED} nonsense.` },
  {
    command: ['scripts/override.ts', 'a=b', '--hours', 'Infinity'],
    says: '--hours: expected a number above 0, got Infinity.',
  },
  {
    command: ['scripts/recipe.ts', 'export-logs', '--out', join(folder, 'dataset')],
    env: { HARNESS_DATA: join(folder, 'data') },
    says: `HARNESS_DATA: ${join(folder, 'data')} has no log yet; expected one that a backend has served from.`,
  },
  { command: ['scripts/reconcile.ts', '--edge', 'nonsense'], says: `--edge: ${URL_WANTED} nonsense.` },
  {
    command: ['scripts/reconcile.ts', '--edge', 'http://127.0.0.1:9'],
    says: 'No edge answers at http://127.0.0.1:9; start the system with npm start.',
  },
  { command: ['scripts/traffic.ts', '--queries', '1', '--edge', 'nonsense'], says: `--edge: ${URL_WANTED} nonsense.` },
  {
    command: ['scripts/traffic.ts', '--queries', '1'],
    env: { BACKEND_URL: 'nonsense' },
    says: `BACKEND_URL: ${URL_WANTED} nonsense.`,
  },
  {
    command: ['scripts/traffic.ts', '--replay', 'LICENSE'],
    says: '--replay: LICENSE, line 1: expected a logged search, got no JSON.',
  },
  {
    command: ['scripts/reconcile.ts', '--data', file],
    env: { HARNESS_KEYS: undefined },
    says: `Set HARNESS_KEYS to the key ring of the edge: none can be read from ${join(file, 'keys')} (ENOTDIR).`,
  },
  { command: ['scripts/edge-serve.ts', '--backend', 'nonsense'], says: `--backend: ${URL_WANTED} nonsense.` },
  {
    command: ['scripts/edge-serve.ts', '--student', folder],
    says: `--student: expected the folder of a bundle, found no manifest.json in ${folder}.`,
  },
  {
    command: ['scripts/edge-serve.ts', '--host', '192.0.2.1'],
    says: 'Port 8787 of 192.0.2.1 cannot be listened on (EADDRNOTAVAIL): expected an address of this machine, and a port that its user may open.',
  },
  {
    command: ['scripts/start.ts', '--port', '8788', '--data', folder],
    says: 'Expected a port each for edge and backend, got 8788 for both.',
  },
  {
    command: ['marketplace/export.ts', '--out', file],
    says: `--out: ${file} cannot be written (EEXIST: file already exists, mkdir '${file}').`,
  },
  {
    command: ['bench/bench.ts', 'edge', '--only', 'hits'],
    says: '--only: expected nothing, because edge has no parts, got hits.',
  },
  {
    command: ['bench/bench.ts', 'experiments', '--only', 'loocks'],
    says: '--only: expected one of reports, horizon, looks, planning, market, interference, got loocks.',
  },
])('$command says: $says', async ({ command, env, says }) => {
  const { code, stderr } = await run(command, env);
  expect(stderr.trimEnd().split('\n')).toEqual([says]);
  expect(code).toSatisfy((status) => status === 1 || status === 2);
});

it('names the route, the service and the address where another program answers', async () => {
  expect((await run(['scripts/experiments.ts', 'plan', '--backend', other])).stderr).toBe(
    `GET /v1/experiments: expected the backend at ${other}, got status 404.\n`,
  );
  expect((await run(['scripts/reconcile.ts', '--edge', other])).stderr).toBe(
    `POST /v1/reconcile: expected the edge at ${other}, got status 404.\n`,
  );
});
