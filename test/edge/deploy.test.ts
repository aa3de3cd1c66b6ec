/** wrangler.toml as `wrangler deploy` reads it: without an account, as far as the upload. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';

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
    expect(gzipSync(await readFile(join(folder, 'worker.js'))).byteLength).toBeLessThan(GZIP_LIMIT_BYTES);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
