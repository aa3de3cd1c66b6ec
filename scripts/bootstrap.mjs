// Runs a command of this project on a fresh clone: installs the locked dependencies when they are missing or out of
// date, then hands over to the project's own Node (the npm package `node`), because the TypeScript sources run as they
// are and need Node >= 22.18. This file itself must run on Node 20.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`Expected Node 20 or newer, got ${process.version}.`);
  process.exit(1);
}

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const installed = join(root, 'node_modules', '.package-lock.json'); // npm writes it when an install is complete
const lock = join(root, 'package-lock.json');

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  console.error('Installing the locked dependencies (npm ci) ...');
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('npm_')));
  const install = spawnSync('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'], {
    cwd: root,
    env: { ...env, ONNXRUNTIME_NODE_INSTALL: env.ONNXRUNTIME_NODE_INSTALL ?? 'skip' },
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (install.status !== 0) {
    console.error('npm ci failed, for the reason above: the first run needs the npm registry and 1.4 GB of disk.');
    process.exit(1);
  }
}

const [target, ...args] = process.argv.slice(2);
const isSource = target.endsWith('.ts');
const program = join(bin, isSource ? (process.platform === 'win32' ? 'node.exe' : 'node') : target);
const child = spawn(program, isSource ? ['--disable-warning=ExperimentalWarning', join(root, target), ...args] : args, {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
});
// The terminal sends Ctrl-C to the whole group, other senders only to us: pass it on, and leave when the child has.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', ({ code }) => {
  console.error(
    `${program} cannot be run (${code}): npm may not run install scripts here, and one brings Node 24. Let it: npm rebuild --ignore-scripts=false`,
  );
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
