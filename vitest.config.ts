import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { TEST_KEYS } from './test/edge/stand-in.ts';

// No test asserts a time: these only end what hangs, on a machine however busy.
const PATIENCE = { testTimeout: 120_000, hookTimeout: 240_000, expect: { poll: { timeout: 60_000 } } };

/** Pure parts of the edge, and what both sides must agree on: the same files run in Node and where the Worker runs. */
const BOTH_RUNTIMES = [
  'test/shared/{assignment,bucketing,digest,interleave,signature,spelling,text,token-ids}.test.ts',
  'test/edge/{batches,event-groups,events,identity,cache/tiered}.test.ts',
];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...PATIENCE,
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/edge/**/*.worker.test.ts'],
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings: { HARNESS_KEYS: TEST_KEYS } },
          }),
        ],
        test: {
          ...PATIENCE,
          name: 'workerd',
          include: ['test/edge/**/*.worker.test.ts', ...BOTH_RUNTIMES],
          globalSetup: ['test/edge/global-setup.ts'],
        },
      },
    ],
  },
});
