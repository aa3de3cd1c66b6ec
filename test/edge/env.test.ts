import { describe, expect, it } from 'vitest';
import { type EdgeBindings, readSettings } from '../../edge/env.ts';

const queue = { send: async () => undefined };
const objects = { idFromName: () => undefined };
const BOUND = {
  EVENTS: queue,
  OUTBOX: objects,
  BACKEND_URL: 'https://backend.example',
  HARNESS_KEYS: 'a:a-secret-of-sixteen',
};
const read = (env: Record<string, unknown>) => readSettings({ ...BOUND, ...env } as unknown as EdgeBindings);

describe('The settings of the Worker', () => {
  it('are those of the documentation where nothing is set', () => {
    expect(read({})).toEqual({
      backendUrl: 'https://backend.example',
      secondBackendUrl: undefined,
      hedgeShare: 0.05,
      dashboardUrl: undefined,
      publicUrl: undefined,
      keys: [{ id: 'a', secret: 'a-secret-of-sixteen' }],
      backendDeadlineMs: 1_000,
      cacheSoftMs: 60_000,
      cacheRevalidateMs: 30_000,
      cacheHardMs: 3_600_000,
      cacheMemoryBytes: 32_000_000,
      cacheApi: true,
      eventDeadlineMs: 100,
      consent: 'assumed',
      queryLog: 'text',
      workersCache: false,
    });
  });

  it('are frozen, and take what is set', () => {
    const settings = read({
      BACKEND_URL: 'http://127.0.0.1:8788//',
      BACKEND_SECOND_URL: 'https://second.example/',
      HEDGE_SHARE: '0',
      CACHE_SOFT_SECONDS: '0.5',
      CACHE_MEMORY_MB: '8',
      CACHE_API: 'off',
      CONSENT: 'required',
      QUERY_LOG: 'digest',
      WORKERS_CACHE: 'on',
    });
    expect(Object.isFrozen(settings)).toBe(true);
    expect(settings).toMatchObject({
      backendUrl: 'http://127.0.0.1:8788',
      secondBackendUrl: 'https://second.example',
      hedgeShare: 0,
      cacheSoftMs: 500,
      cacheMemoryBytes: 8_000_000,
      cacheApi: false,
      consent: 'required',
      queryLog: 'digest',
      workersCache: true,
    });
  });

  it.each([
    ['BACKEND_URL', undefined, 'wrangler.toml'],
    ['BACKEND_URL', 'ftp://backend.example', 'Invalid URL'],
    ['PUBLIC_URL', 'shop', 'Invalid URL'],
    ['BACKEND_DEADLINE_MS', '0', 'expected number to be >0'],
    ['BACKEND_DEADLINE_MS', '', 'expected number to be >0'],
    ['BACKEND_DEADLINE_MS', '60001', 'expected number to be <=60000'],
    ['CACHE_SOFT_SECONDS', '1e999', 'expected number'],
    ['CACHE_MEMORY_MB', '32 MB', 'expected number'],
    ['HEDGE_SHARE', '1.5', 'expected number to be <=1'],
    ['HEDGE_SHARE', '-0.1', 'expected number to be >=0'],
    ['CACHE_API', 'no', 'expected one of "on"|"off"'],
    ['CONSENT', 'given', 'expected one of "assumed"|"required"'],
    ['EVENTS', undefined, 'expected a queue producer binding'],
    ['OUTBOX', {}, 'expected a Durable Object binding'],
    ['HARNESS_KEYS', undefined, 'is not set'],
    ['HARNESS_KEYS', 'a:short', 'at least 16 characters'],
  ])('refuse %s = %j by name, with what was expected', (name, value, reason) => {
    expect(() => read({ [name]: value })).toThrowError(
      expect.objectContaining({ code: 'configuration', message: expect.stringContaining(reason) }),
    );
    expect(() => read({ [name]: value })).toThrow(name);
  });

  it('refuse a list that is gone before it is stale by both names, and take one that is never stale', () => {
    const lives = { CACHE_SOFT_SECONDS: '60', CACHE_HARD_SECONDS: '59' };
    expect(() => read(lives)).toThrow(
      'CACHE_HARD_SECONDS: expected at least the 60 of CACHE_SOFT_SECONDS, got 59; set it in wrangler.toml.',
    );
    expect(() => read({ CACHE_SOFT_SECONDS: '7200' })).toThrow('expected at least the 7200 of CACHE_SOFT_SECONDS');
    expect(read({ ...lives, CACHE_HARD_SECONDS: '60' })).toMatchObject({ cacheSoftMs: 60_000, cacheHardMs: 60_000 });
  });
});
