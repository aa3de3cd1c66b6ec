/** What can be said of the Dockerfile without Docker: its sources are there and suffice, its commands run, its rules are kept. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PRODUCTION_FLAGS } from '../../bench/backend/production-flags.ts';
import { listen } from '../../gpu-backend/http/server.ts';
import { backendEnvironment, makeFolders } from '../setup/backend.ts';
import { freePort } from '../setup/free-port.ts';
import { until } from '../setup/killed-ingest.ts';

const run = promisify(execFile);
const instructions = readFileSync('gpu-backend/Dockerfile', 'utf8')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line)!;
    return { name: name!, rest: rest! };
  });

interface Stage {
  name: string;
  from: string;
  body: typeof instructions;
}
const stages: Stage[] = [];
for (const instruction of instructions) {
  const [, from, name] = instruction.name === 'FROM' ? /^(\S+) AS (\S+)$/.exec(instruction.rest)! : [];
  if (name !== undefined) stages.push({ name, from: from!, body: [] });
  else stages.at(-1)?.body.push(instruction);
}
const stage = (name: string) => stages.find((each) => each.name === name)!;
const of = ({ body }: Stage, name: string) => body.filter((each) => each.name === name).map(({ rest }) => rest);
const copied = (each: Stage) =>
  of(each, 'COPY')
    .filter((rest) => !rest.startsWith('--from'))
    .flatMap((rest) => rest.split(/\s+/).slice(0, -1));
const sources = copied(stage('sources'));
const isCopied = (path: string) => sources.some((source) => path === source || path.startsWith(`${source}/`));

test('every source of a copy is in the repository and in the build, every stage named is there', () => {
  const shown = readFileSync('gpu-backend/Dockerfile.dockerignore', 'utf8').split('\n');
  expect(shown).toContain('*');
  for (const path of stages.flatMap(copied)) {
    expect(existsSync(path), path).toBe(true);
    expect(shown).toContain(`!${path}`);
  }
  for (const rest of stages.flatMap((each) => of(each, 'COPY')).filter((text) => text.startsWith('--from')))
    expect(stages.map(({ name }) => name)).toContain(/^--from=(\S+)/.exec(rest)![1]);
});

test('the versions of Node are those of package.json', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> };
  expect(instructions).toContainEqual({ name: 'ARG', rest: `NODE_VERSION=${dependencies.node}` });
});

test('whatever the backend imports or reads is copied, and every package is a dependency of production', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> };
  const seen = new Set<string>();
  const walk = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    expect(isCopied(path), path).toBe(true);
    if (!path.endsWith('.ts')) return;
    const text = readFileSync(path, 'utf8');
    // Imports, and the entries of threads and processes.
    for (const [, target = ''] of text.matchAll(/(?<!['\w])(?:from|import|import\(|new URL\()\s*'([^'\n]+)'/g)) {
      if (target.startsWith('.')) walk(relative('.', join(dirname(path), target)));
      else if (!target.startsWith('node:'))
        expect(dependencies, path).toHaveProperty([target.split('/', target.startsWith('@') ? 2 : 1).join('/')]);
    }
  };
  walk('gpu-backend/main.ts');
  expect(seen.size).toBeGreaterThan(100);
  expect(seen).toContain('gpu-backend/encoder/worker.ts');
  expect(isCopied('models/default')).toBe(true);
});

describe.each(['cpu', 'cuda'])('the %s image', (name) => {
  const image = stage(name);
  const environment = Object.fromEntries(
    of(image, 'ENV')
      .flatMap((rest) => rest.split(' '))
      .map((pair) => pair.split('=') as [string, string]),
  );
  const exec = (text: string) => JSON.parse(text) as string[];

  test('runs as nobody special, keeps its state in a volume, and is told to stop by SIGTERM', () => {
    const names = image.body.map((each) => each.name);
    expect(of(image, 'USER')[0]).toMatch(/^(node|ubuntu)$/);
    expect(names.indexOf('USER')).toBeLessThan(names.indexOf('CMD'));
    expect(names.lastIndexOf('RUN')).toBeLessThan(names.indexOf('USER'));
    expect(of(image, 'VOLUME')).toEqual([environment.HARNESS_DATA]);
    expect(of(image, 'EXPOSE')).toEqual([environment.PORT]);
    expect([of(image, 'STOPSIGNAL'), environment.HARNESS_DEVICE]).toEqual([['SIGTERM'], name]);
    expect(JSON.stringify(image.body)).not.toMatch(/SECRET|HARNESS_KEYS|PASSWORD/);
  });

  test('starts a program that knows the settings given', async () => {
    const [program, ...args] = exec(of(image, 'CMD')[0]!);
    expect(program).toBe('node'); // no shell between the signal and the program
    expect(args).toEqual([...PRODUCTION_FLAGS, 'gpu-backend/main.ts']);
    expect(args).toContainEqual(expect.stringMatching(/^--max-semi-space-size=\d+$/));
    const { stdout } = await run(process.execPath, [...args, '--help']);
    for (const setting of ['HOST', 'PORT', 'HARNESS_DATA', 'HARNESS_DEVICE']) {
      expect(environment).toHaveProperty(setting);
      expect(stdout).toContain(`  ${setting} `);
    }
  });

  test('is healthy while the backend answers, and only then', async () => {
    const [, ...args] = exec(/CMD (.*)$/.exec(of(image, 'HEALTHCHECK')[0]!)![1]!);
    const server = await listen({ host: '127.0.0.1', port: 0 });
    const env = { ...process.env, PORT: new URL(server.url).port };
    await run(process.execPath, args, { env });
    await server.close(0);
    await expect(run(process.execPath, args, { env })).rejects.toMatchObject({ code: 1 });
  });
});

test('a signal while it starts ends it at once: as PID 1 it would be deaf without a handler', async () => {
  // A database that lets everybody in (AuthenticationOk, ReadyForQuery) and answers nothing, so that the start does not end.
  const welcome = 'R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I';
  const silent = createServer((socket) => {
    socket.on('error', () => {}).once('data', () => socket.write(welcome));
  }).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  onTestFinished(() => void silent.close());
  const port = await freePort();
  const folders = await makeFolders();
  onTestFinished(() => folders.remove());
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'gpu-backend/main.ts'], {
    env: {
      ...process.env,
      ...backendEnvironment(folders, { PORT: String(port) }),
      DATABASE_URL: `postgres://nobody@127.0.0.1:${(silent.address() as AddressInfo).port}/none`,
    },
    stdio: 'ignore',
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const gone = once(child, 'exit');
  await until(async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok);
  child.kill('SIGTERM');
  expect(await gone).toEqual([143, null]);
});
