/** The guide against the backend: its table and the alert rules name metrics that are exposed, all of them, and each alert has its rule. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { call } from '../setup/backend.ts';
import { useBackend } from '../setup/hooks.ts';

const backend = useBackend({ market: false, environment: { HARNESS_CANDIDATE_SAMPLING: '0.5' } });

const GUIDE = 'docs/operations.md';
const RULES = 'docs/alerts.rules.yml';
const metricsIn = (text: string) =>
  new Set([...text.matchAll(/harness_\w+/g)].map(([name]) => name.replace(/_bucket$/, '')));

async function exposed(): Promise<{ name: string; type: string }[]> {
  const { body } = await call<string>(backend.url, 'GET /metrics', { unsigned: true });
  return [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => ({ name: name!, type: type! }));
}
const ours = async () => (await exposed()).filter(({ name }) => !/^harness_(nodejs|process)_/.test(name));

test.each([GUIDE, RULES])('%s names metrics that there are', async (path) => {
  const there = (await exposed()).map(({ name }) => name);
  const named = metricsIn(readFileSync(path, 'utf8'));
  expect(named.size).toBeGreaterThan(10);
  expect([...named].filter((name) => !there.includes(name))).toEqual([]);
});

test('the guide leaves out none but those that Node has of itself', async () => {
  const named = metricsIn(readFileSync(GUIDE, 'utf8'));
  expect((await ours()).filter(({ name }) => !named.has(name))).toEqual([]);
});

test('counters are those that end with _total', async () => {
  const all = await ours();
  const named = all.filter(({ name }) => name.endsWith('_total'));
  expect(named.length).toBeGreaterThan(10);
  expect(all.filter(({ type }) => type === 'counter')).toEqual(named);
});

test('what the guide says is alerted on has a rule', () => {
  const ruled = metricsIn(readFileSync(RULES, 'utf8'));
  const alerted = [...readFileSync(GUIDE, 'utf8').matchAll(/^\| (`harness_.*?) +\|.*\| *([^|]*?) *\|$/gm)].filter(
    ([, , alert]) => alert !== '',
  );
  expect(alerted.length).toBeGreaterThan(10);
  const without = alerted.filter(([, names]) => ![...metricsIn(names!)].some((name) => ruled.has(name)));
  expect(without.map(([, names]) => names)).toEqual([]);
});

test('what an alert says is quoted: a comma would end it, and Prometheus would refuse the file', () => {
  const said = readFileSync('docs/alerts.rules.yml', 'utf8').match(/annotations:\s*.*/g)!;
  expect(said.length).toBeGreaterThan(10);
  expect(said.filter((each) => !/^annotations:\s+\{ summary: "[^"]+" \}$/.test(each))).toEqual([]);
});
