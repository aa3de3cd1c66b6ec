/** Guides against the code: every setting that backend or edge reads has its row, with the default that holds. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { settingsHelp } from '../../gpu-backend/config.ts';

const operations = readFileSync('docs/operations.md', 'utf8');
const deploy = readFileSync('docs/deploy.md', 'utf8');
/** Names in the first cells of a guide's tables. */
const namedIn = (guide: string) =>
  new Set([...guide.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell]) => cell!.match(/\b[A-Z][A-Z_]+\b/g) ?? []));

/** The default differs from machine to machine. */
const BY_MACHINE = 'HARNESS_ENCODER_WORKERS';

test("docs/operations.md has the backend's settings and their defaults", () => {
  const table = operations.slice(operations.indexOf('## Settings'), operations.indexOf('## Watching'));
  const documented = [...table.matchAll(/^\| `([A-Z_]+)` +\| (.*?) *\|/gm)].map(([, name, value]) => [name, value]);
  const read = [...settingsHelp().matchAll(/^ {2}(\w+) .*?(?:\(default: (.*)\))?$/gm)].map(([, name, value]) => [
    name,
    value === undefined ? '' : `\`${value}\``,
  ]);
  expect(read.length).toBeGreaterThan(25);
  const fixed = (rows: (string | undefined)[][]) => rows.filter(([name]) => name !== BY_MACHINE);
  expect(fixed(documented)).toEqual(fixed(read));
  expect(documented.map(([name]) => name)).toContain(BY_MACHINE);
});

test('docs/deploy.md has the variables that the edge reads', () => {
  const read = [...readFileSync('edge/env.ts', 'utf8').matchAll(/^ {2}([A-Z_]+): (?!\w+;)/gm)].map(([, name]) => name!);
  expect(read).toContain('CACHE_SOFT_SECONDS');
  expect(read.filter((name) => !namedIn(deploy).has(name))).toEqual([]);
});
