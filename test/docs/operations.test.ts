/** The guide against the backend: every metric that the table and the alert rules name is one that it exposes. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { call } from '../setup/backend.ts';
import { useBackend } from '../setup/hooks.ts';

const backend = useBackend({ market: false });

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

test('what an alert says is quoted: a comma would end it, and Prometheus would refuse the file', () => {
  const said = readFileSync('docs/alerts.rules.yml', 'utf8').match(/annotations:\s*.*/g)!;
  expect(said.length).toBeGreaterThan(10);
  expect(said.filter((each) => !/^annotations:\s+\{ summary: "[^"]+" \}$/.test(each))).toEqual([]);
});
