/** `npm run traffic` against something that is not the edge. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const server = createServer((request, response) => {
  response.statusCode = request.url === '/healthz' ? 200 : 404;
  response.end('{}');
});
const folder = mkdtempSync(join(tmpdir(), 'harness-traffic-'));
let url: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  server.close();
});

it('fails, and names the option, when not one search was answered', async () => {
  const log = join(folder, 'log.jsonl');
  const search = { atMs: 0, user: 'ana', market: 'us', query: 'tie', clicks: [] };
  writeFileSync(log, `${JSON.stringify(search)}\n`.repeat(3));
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    const args = ['scripts/traffic.ts', '--replay', log, '--edge', url];
    execFile(process.execPath, args, (error, _stdout, stderr) => resolve({ code: error?.code, stderr }));
  });
  expect(stderr).toContain(`--edge: expected the edge at ${url}, got status 404 3 times; npm start says where it is.`);
  expect(code).toBe(2);
});
