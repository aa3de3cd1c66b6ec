/** The guide against the backend: every metric that the table and the alert rules name is one that it exposes. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../gpu-backend/main.ts';
import { call, makeFolders, start, type TestFolders } from '../setup/backend.ts';
import { DATABASE_TIMEOUT_MS } from '../setup/databases.ts';

let folders: TestFolders;
let backend: Backend;
beforeAll(async () => {
  folders = await makeFolders();
  backend = await start(folders);
}, DATABASE_TIMEOUT_MS);
afterAll(async () => {
  await backend?.stop();
  folders?.remove();
});

/** Exposed with a real server only. */
const WITH_SERVER = new Set(['harness_follow_failures']);

test.each(['docs/operations.md', 'docs/alerts.rules.yml'])('%s names metrics that there are', async (path) => {
  const { body } = await call<string>(backend.url, 'GET /metrics', { unsigned: true });
  const exposed = new Set([...body.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
  const named = new Set(
    [...readFileSync(path, 'utf8').matchAll(/harness_\w+/g)].map(([name]) => name!.replace(/_bucket$/, '')),
  );
  expect(named.size).toBeGreaterThan(10);
  expect([...named].filter((name) => !exposed.has(name) && !WITH_SERVER.has(name))).toEqual([]);
});
