import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { TEST_KEYS } from './test/edge/stand-in.ts';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
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
          name: 'workerd',
          include: ['test/edge/**/*.worker.test.ts'],
          globalSetup: ['test/edge/global-setup.ts'],
        },
      },
    ],
  },
});
