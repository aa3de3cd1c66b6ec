/** What the command lines say to what they cannot use: one line that names it and what was expected, never a stack. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'harness-bad-input-'));
const file = join(folder, 'file');
writeFileSync(file, '{"not": "an ad"}\n');
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

/** Somebody else's server, with the same answer to whatever is asked. */
async function listening(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function run(command: readonly string[], env: Record<string, string> = {}) {
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

it.concurrent.each<{ command: string[]; env?: Record<string, string>; says: string }>([
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
  {
    command: ['scripts/forget.ts', '--before', '2026-02-30'],
    says: "error: option '--before <day>' argument '2026-02-30' is invalid. expected a day such as 2026-01-31",
  },
  { command: ['scripts/forget.ts'], says: 'expected either --before or --unit.' },
  {
    command: ['scripts/forget.ts', '--unit', 'x', '--all'],
    says: '--all: expected --before beside it, got --unit.',
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
    command: ['scripts/traffic.ts', '--queries', '1', '--bots', '0.5', '--hidden-bots', '0.5'],
    says: '--bots, --hidden-bots: expected at most 0.9 together, got 1.',
  },
  {
    command: ['scripts/traffic.ts', '--queries', '1', '--budgets', '0.1'],
    says: "--budgets: expected --past DAYS beside it: live budgets are the catalogue's.",
  },
  {
    command: ['scripts/traffic.ts', '--replay', 'LICENSE', '--effect', 'clicks=+5%'],
    says: '--effect: expected no --replay beside it: a log says itself who clicks what.',
  },
  {
    command: ['scripts/traffic.ts', '--replay', 'LICENSE'],
    says: '--replay: LICENSE, line 1: expected a logged search, got no JSON.',
  },
  {
    command: ['scripts/reconcile.ts', '--data', file],
    env: { HARNESS_KEYS: '' }, // as unset
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
    command: ['bench/bench.ts', 'system', '--only', 'hits'],
    says: '--only: expected nothing, because system has no parts, got hits.',
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

it.concurrent.each([
  { status: 404, body: '<!DOCTYPE html>', got: 'status 404' },
  { status: 200, body: '<!DOCTYPE html>', got: 'no JSON' },
])('where another program answers $body with $status: names the service, its address and what came', async (given) => {
  const { got } = given;
  const other = await listening((_, response) => response.writeHead(given.status).end(given.body));
  const said = async (...command: string[]) => (await run(command)).stderr;
  expect(await said('scripts/experiments.ts', 'plan', '--backend', other)).toBe(
    `GET /v1/experiments: expected the backend at ${other}, got ${got}.\n`,
  );
  expect(await said('scripts/reconcile.ts', '--edge', other)).toBe(
    `POST /v1/reconcile: expected the edge at ${other}, got ${got}.\n`,
  );
  expect(await said('scripts/report.ts', '--json', '--backend', other)).toBe(
    `GET /v1/experiments/student-retrieval/report: expected the backend at ${other}, got ${got}.\n`,
  );
});

it('names the field where another program answers with JSON', async () => {
  const other = await listening((_, response) => response.end('{}'));
  for (const [field, ...command] of [
    ['GET /v1/experiments.experiments', 'scripts/experiments.ts', 'plan', '--backend', other],
    ['POST /v1/reconcile.minutes', 'scripts/reconcile.ts', '--edge', other],
    ['GET /v1/experiments/student-retrieval/report.experiment', 'scripts/report.ts', '--backend', other],
  ] as const) {
    const { code, stderr } = await run(command);
    expect(stderr).toMatch(/^.*: Invalid input: expected .*\n$/);
    expect(stderr.startsWith(`${field}: `)).toBe(true);
    expect(code).toBe(2);
  }
});
