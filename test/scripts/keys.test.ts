/** The keys that `npm start` makes in its data folder: whole, once, and for their owner alone. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeEach, expect, it, vi } from 'vitest';
import { testFolder } from '../fixtures/folder.ts';

const folder = testFolder('keys');
let makeKeys: (dataDir: string) => string;
beforeEach(async () => {
  vi.stubEnv('HARNESS_KEYS', '');
  vi.resetModules();
  ({ makeKeys } = await import('../../scripts/keys.ts'));
  return () => vi.unstubAllEnvs();
});

it('are made once a folder, and nobody else may read them', () => {
  const dir = folder('made');
  mkdirSync(dir, { recursive: true });
  const keys = makeKeys(dir);
  expect(keys).toMatch(/^local:[0-9a-f]{64}$/);
  expect(makeKeys(dir)).toBe(keys);
  expect(readdirSync(dir)).toEqual(['keys']);
  expect(statSync(join(dir, 'keys')).mode & 0o777).toBe(0o600);
});

it('a disk that takes none leaves no half of them behind, and the next start makes them', () => {
  const dir = folder('full');
  mkdirSync(dir, { recursive: true });
  const module = JSON.stringify(resolve('scripts/keys.ts'));
  const program = `import(${module}).then(({ makeKeys }) => makeKeys(${JSON.stringify(dir)})).catch(({ message }) => console.log(message))`;
  // No file may grow.
  const said = execFileSync('sh', ['-c', `ulimit -f 0; exec "$0" -e "$1"`, process.execPath, program], {
    encoding: 'utf8',
  });
  expect(said).toContain('expected to write the keys of this folder there (EFBIG)');
  expect(readdirSync(dir)).toEqual([]);
  expect(makeKeys(dir)).toMatch(/^local:/);
});

it('that cannot be read are told in one line', () => {
  const dir = folder('odd');
  mkdirSync(join(dir, 'keys'), { recursive: true });
  expect(() => makeKeys(dir)).toThrow(/none can be read from .*keys \(EISDIR\)/);
  rmSync(join(dir, 'keys'), { recursive: true });
  writeFileSync(join(dir, 'keys'), 'mine:0123456789abcdef\n');
  expect(makeKeys(dir)).toBe('mine:0123456789abcdef');
  expect(readFileSync(join(dir, 'keys'), 'utf8')).toBe('mine:0123456789abcdef\n');
});
