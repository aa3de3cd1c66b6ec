/** wrangler.toml as `wrangler deploy` reads it: without an account, as far as the upload. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { unstable_readConfig } from 'wrangler';

const SETTINGS = ['max_batch_size', 'max_batch_timeout', 'max_retries', 'retry_delay'] as const;
type Consumer = { queue: string; dead_letter_queue?: string } & Partial<Record<(typeof SETTINGS)[number], number>>;
interface Queues {
  consumers?: Consumer[];
  producers?: { binding: string; queue: string }[];
}

const GZIP_LIMIT_BYTES = 300_000;

it('wrangler builds the Worker from the committed wrangler.toml, and it is small', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'harness-deploy-'));
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['node_modules/wrangler/bin/wrangler.js', 'deploy', '--dry-run', '--outdir', folder],
      { env: { ...process.env, WRANGLER_SEND_METRICS: 'false', XDG_CONFIG_HOME: folder, CI: '1' } },
    );
    expect(stdout).toContain('env.EVENTS (harness-events)');
    const script = await readFile(join(folder, 'worker.js'), 'utf8');
    expect(gzipSync(script).byteLength).toBeLessThan(GZIP_LIMIT_BYTES);
    // `import { z }` brings error messages in fifty languages, more than half of the Worker; `import * as z` brings what is used.
    expect(new Set(script.match(/zod\/v4\/locales\/[\w-]+/g))).toEqual(new Set(['zod/v4/locales/en']));
    // What a start does without: the runtime's stand-in for Node's process, and the schemas of the backend's routes.
    expect(script.indexOf('globalThis.process = ')).toBeGreaterThan(0);
    expect(script.indexOf('globalThis.process = ')).toBeLessThan(script.indexOf('typeof process'));
    expect(script).not.toContain('/v1/generations');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it('has issued and stored ids compared every minute', () => {
  const { triggers } = unstable_readConfig({ config: 'wrangler.toml' }) as { triggers: { crons: string[] } };
  expect(triggers.crons).toEqual(['* * * * *']);
});

it('puts a cache in front of the entrypoint of candidates alone: from one in front of the default no impression would be logged', () => {
  const { exports } = unstable_readConfig({ config: 'wrangler.toml' }) as { exports: Record<string, unknown> };
  expect(exports).toMatchObject({ default: { cache: { enabled: false } }, Candidates: { cache: { enabled: true } } });
});

it('says of every queue how it is consumed, and has a consumer for the dead letters', () => {
  // wrangler's own types need those of the Worker's runtime, which a test in Node does not have.
  const { queues } = unstable_readConfig({ config: 'wrangler.toml' }) as { queues: Queues };
  const { consumers = [], producers = [] } = queues;
  // Local and production defaults differ, so nothing is left to them.
  for (const consumer of consumers) {
    for (const name of SETTINGS) expect(consumer[name], `${consumer.queue}: ${name}`).toBeTypeOf('number');
    expect(consumer.max_batch_size).toBeLessThanOrEqual(100);
  }
  const consumed = new Map(consumers.map((consumer) => [consumer.queue, consumer]));
  for (const { queue } of producers) {
    const deadLetters = consumed.get(queue)?.dead_letter_queue;
    // The name by which the consumer knows that there is no further queue behind.
    expect(deadLetters).toMatch(/-dead$/);
    expect(consumed.has(deadLetters!), `${deadLetters} is consumed`).toBe(true);
  }
  expect(producers.map(({ binding }) => binding)).toEqual(['EVENTS']);
});
