/** The way into every command, over a tree of its own and an npm that only says how it was called. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { testFolder } from '../fixtures/folder.ts';

const at = testFolder('bootstrap');
const INSTALLED = 'node_modules/.package-lock.json';

/** A tree whose dependencies are those of its lock. */
beforeEach(() => {
  rmSync(at(), { recursive: true });
  for (const dir of ['scripts', 'node_modules/.bin', 'bin']) mkdirSync(at(dir), { recursive: true });
  copyFileSync('scripts/bootstrap.mjs', at('scripts/bootstrap.mjs'));
  symlinkSync(process.execPath, at('node_modules/.bin/node'));
  writeFileSync(at('package-lock.json'), '{}');
  writeFileSync(at(INSTALLED), '{}');
  lockIs('older');
});

/** When the lock was changed, beside when it was installed. */
function lockIs(age: 'older' | 'newer') {
  utimesSync(at('package-lock.json'), 1_000_000, age === 'older' ? 1_000_000 : 2_000_000);
  utimesSync(at(INSTALLED), 1_500_000, 1_500_000);
}

function npmThat(does: string) {
  const script = `#!/bin/sh\necho "npm $* in $(pwd), $ONNXRUNTIME_NODE_INSTALL, $npm_config_registry"\n${does}\n`;
  writeFileSync(at('bin/npm'), script, { mode: 0o755 });
}

function start(...args: string[]) {
  const own = { PATH: `${at('bin')}:${process.env.PATH}`, ONNXRUNTIME_NODE_INSTALL: undefined };
  const env = { ...process.env, ...own, npm_config_registry: 'of the caller' };
  const child = spawn(process.execPath, [at('scripts/bootstrap.mjs'), ...args], { env });
  const said = { out: '', err: '' };
  child.stdout.on('data', (part) => {
    said.out += part;
  });
  child.stderr.on('data', (part) => {
    said.err += part;
  });
  const ended = once(child, 'close').then(([code]) => ({ code, ...said }));
  return { child, ended };
}

it("runs a source under the project's Node with its arguments, and ends as it ends", async () => {
  writeFileSync(at('scripts/x.ts'), 'console.log(process.argv.slice(2), process.env.PATH); process.exit(7 as number);');
  const { code, out, err } = await start('scripts/x.ts', '--a', 'b c').ended;
  expect({ code, err }).toEqual({ code: 7, err: '' });
  expect(out).toContain(`[ '--a', 'b c' ] ${join(at('node_modules'), '.bin')}:`);
});

it('passes on the signal that ends it', async () => {
  writeFileSync(
    at('scripts/x.ts'),
    `process.on('SIGTERM', () => process.exit(3)); setInterval(() => {}, 1000); console.log('up');`,
  );
  const { child, ended } = start('scripts/x.ts');
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect((await ended).code).toBe(3);
});

it.each([
  ['there is none', () => rmSync(at(INSTALLED))],
  ['the lock is newer', () => lockIs('newer')],
])('installs what the lock says where %s, with nothing of the npm that called', async (_, change) => {
  change();
  npmThat('exit 0');
  writeFileSync(at('scripts/x.ts'), `console.log('ran')`);
  const { code, out, err } = await start('scripts/x.ts').ended;
  expect({ code, out }).toEqual({ code: 0, out: 'ran\n' });
  expect(err).toMatch(/^npm ci --no-fund --no-audit --loglevel=error in .*harness-bootstrap-\w+\/?, skip, $/m);
});

it('ends where that fails, with the reason above', async () => {
  rmSync(at(INSTALLED));
  npmThat('echo no network >&2; exit 1');
  const { code, out, err } = await start('scripts/x.ts').ended;
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toMatch(/no network\nnpm ci failed, .*\n$/);
});

it('says in one line what to do where npm ran no install script, so that there is no Node', async () => {
  rmSync(at('node_modules/.bin/node'));
  const { code, err } = await start('scripts/x.ts').ended;
  expect(code).toBe(1);
  expect(err).toMatch(/^.*\.bin\/node cannot be run \(ENOENT\): .* npm rebuild --ignore-scripts=false\n$/);
});
