/** What `npm start` says when it cannot: the reason, and the option that mends it. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startService } from '../../scripts/service.ts';
import { freePort } from '../setup/free-port.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'harness-start-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a service that ends before it is ready', () => {
  it('gives its reason, not what it logged while closing', async () => {
    const entry = join(folder, 'fails.ts');
    writeFileSync(entry, `console.error('Port 1 is taken.'); console.log('{"msg":"stopped"}'); process.exit(2);`);
    const heard: string[] = [];
    const starting = startService({ name: 'it', entry, env: {}, onLine: (line) => heard.push(line) });
    await expect(starting).rejects.toMatchObject({ code: 'configuration', message: 'Port 1 is taken.' });
    expect(heard.sort()).toEqual(['Port 1 is taken.', '{"msg":"stopped"}']);
  });

  it('gives the reason of a fault, not the last line of its dump', async () => {
    const entry = join(folder, 'faulty.ts');
    const fault = `Object.assign(new Error('no such room'), { code: 'E_ROOM' })`;
    for (const source of [`console.error(${fault}); process.exit(1);`, `throw ${fault};`]) {
      writeFileSync(entry, source);
      const starting = startService({ name: 'it', entry, env: {}, onLine: () => {} });
      await expect(starting).rejects.toMatchObject({ message: 'Error: no such room' });
    }
  });

  it('is named where it gave none', async () => {
    const entry = join(folder, 'silent.ts');
    writeFileSync(entry, 'process.exit(3);');
    const starting = startService({ name: 'edge', entry, env: {}, onLine: () => {} });
    await expect(starting).rejects.toMatchObject({ message: 'The edge ended at once (3).' });
  });
});

it('a service that is to outlive another goes on, when their parent dies, until that one has drained', async () => {
  const [front, back, parent, log, draining, release] = ['front', 'back', 'parent', 'log', 'draining', 'release'].map(
    (name) => join(folder, `${name}.ts`),
  ) as [string, string, string, string, string, string];
  const from = JSON.stringify(resolve('scripts/service.ts'));
  const imports = `import { appendFileSync, existsSync, writeFileSync } from 'node:fs'; import { serve, startService } from ${from};`;
  writeFileSync(
    front,
    `${imports} serve({ url: '', async stop() {
      writeFileSync('${draining}', '');
      while (!existsSync('${release}')) await new Promise((next) => setTimeout(next, 10));
      appendFileSync('${log}', 'front ');
    } });`,
  );
  writeFileSync(back, `${imports} serve({ url: '', stop: async () => appendFileSync('${log}', 'back ') });`);
  writeFileSync(
    parent,
    `${imports} const start = (entry) => startService({ name: 'it', entry, env: {}, onLine() {} });
    const [front, back] = await Promise.all([start('${front}'), start('${back}')]);
    back.outlive(front.pid);
    process.kill(process.pid, 'SIGKILL');`,
  );
  await once(spawn(process.execPath, [parent]), 'close');
  await vi.waitFor(() => expect(existsSync(draining)).toBe(true), { timeout: 60_000 });
  writeFileSync(release, '');
  await vi.waitFor(() => expect(readFileSync(log, 'utf8')).toBe('front back '), { timeout: 60_000 });
}, 150_000);

it('a service whose parent leaves while it starts ends in order', async () => {
  const [entry, parent, ended] = ['late.ts', 'parent.ts', 'ended'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const from = JSON.stringify(resolve('scripts/service.ts'));
  writeFileSync(
    entry,
    `import { writeFileSync } from 'node:fs';
    import { serve } from ${from};
    const left = new Promise((resolve) => process.once('disconnect', resolve));
    console.log('starting');
    await left;
    serve({ url: '', stop: async () => process.once('exit', (code) => writeFileSync('${ended}', String(code))) });
    setInterval(() => {}, 1_000);`,
  );
  writeFileSync(
    parent,
    `import { startService } from ${from};
    startService({ name: 'it', entry: '${entry}', env: {}, onLine: () => process.exit() });`,
  );
  await once(spawn(process.execPath, [parent]), 'exit');
  await expect.poll(() => existsSync(ended) && readFileSync(ended, 'utf8')).toBe('0');
});

describe('npm start', () => {
  const start = (...args: string[]) =>
    new Promise<{ status: unknown; stderr: string }>((resolve) =>
      execFile(process.execPath, ['scripts/start.ts', ...args], { timeout: 100_000 }, (error, _stdout, stderr) =>
        resolve({ status: error?.code, stderr }),
      ),
    );

  it('names its own option, not the setting of the service that refused', async () => {
    const [port, backendPort] = [String(await freePort()), String(await freePort())];
    const { status, stderr } = await start(
      '--port',
      port,
      '--backend-port',
      backendPort,
      '--data',
      folder,
      '--bundle',
      folder,
    );
    expect(stderr).toContain(`${join(folder, 'manifest.json')}: no bundle there; set --bundle to a published folder.`);
    expect(status).toBe(2);
  });

  it('refuses a folder that cannot be made, and one that its log cannot be written to', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const taken = join(folder, 'taken');
    mkdirSync(join(taken, 'system.log'), { recursive: true });
    for (const data of [join(file, 'data'), taken, '/proc/none', '/proc/none/below']) {
      const { status, stderr } = await start('--data', data);
      expect(stderr).toMatch(/^--data: expected a folder that can be written, got .* \(E\w+\)\.$/m);
      expect(status).toBe(2);
    }
  });
});
