/** Memory does not grow with the number of rows: a heap that cannot hold the rows is enough to read them, and to deal them into parts. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const HEAP_MB = 20;
const ROWS = 60_000;
/** Only ends what hangs, on a machine however busy. */
const PATIENCE_MS = 600_000;

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'harness-memory-'));
});
afterAll(() => rm(scratch, { recursive: true }));

async function run(task: string, env: Record<string, string> = {}): Promise<{ rows: number }> {
  const program = join(import.meta.dirname, 'bounded-memory.ts');
  const flags = [`--max-old-space-size=${HEAP_MB}`, '--max-semi-space-size=1'];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...flags, program, task, String(ROWS), join(scratch, task)],
    { env: { ...process.env, ...env } },
  );
  return JSON.parse(stdout);
}

it.each(['jsonl', 'delimited', 'parquet', 'texts', 'pairs'])(
  '%s: all rows within the heap',
  async (task) => {
    expect(await run(task)).toEqual({ rows: ROWS });
  },
  PATIENCE_MS,
);

it(
  'could not be done by holding the rows',
  async () => {
    await expect(run('jsonl', { HOLD: '1' })).rejects.toThrow(/heap out of memory|heap limit/i);
  },
  PATIENCE_MS,
);
