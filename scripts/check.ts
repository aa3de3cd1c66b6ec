// `npm run check`: format, lint and import boundaries (biome), then types (tsc). The same for a person and for CI.
import { spawnSync } from 'node:child_process';

const steps: [name: string, command: string, args: string[]][] = [
  ['format, lint, boundaries', 'biome', ['check', '--error-on-warnings', '.']],
  ['types', 'tsc', []],
  ['types of the edge', 'tsc', ['-p', 'edge']],
];
for (const [name, command, args] of steps) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  console.log(`${status === 0 ? 'ok    ' : 'failed'}  ${name}`);
  if (status !== 0) process.exitCode = 1;
}
