import { describe, expect, test } from 'vitest';
import { parseConfig, settingsHelp } from '../../gpu-backend/config.ts';

const KEYS = 'edge:0123456789abcdef';

describe('the settings', () => {
  test('are complete and frozen with nothing but the keys given', () => {
    const config = parseConfig({ HARNESS_KEYS: KEYS });
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8788,
      dataDir: '.harness',
      bundleDir: 'models/default',
      keys: [{ id: 'edge', secret: '0123456789abcdef' }],
      databaseUrl: undefined,
      device: 'cpu',
      index: 'hnsw',
      candidateSampling: 0,
      logLevel: 'info',
    });
    expect(config.encoderWorkers).toBeGreaterThan(0);
    expect(Object.isFrozen(config)).toBe(true);
  });

  test('count as unset when empty', () => {
    expect(parseConfig({ HARNESS_KEYS: KEYS, PORT: '', DATABASE_URL: ' ' })).toEqual(
      parseConfig({ HARNESS_KEYS: KEYS }),
    );
  });

  test.each([
    ['PORT', 'http', /^PORT: expected a port from 0 \(any free one\) to 65535, got "http"\.$/],
    ['PORT', '70000', /^PORT: .* to 65535, got "70000"\.$/],
    ['HARNESS_DEVICE', 'tpu', /^HARNESS_DEVICE: expected one of cpu, cuda, webgpu, got "tpu"\.$/],
    ['HARNESS_INDEX', 'flat', /^HARNESS_INDEX: expected one of hnsw, scan, got "flat"\.$/],
    ['HARNESS_ENCODER_WORKERS', '0', /^HARNESS_ENCODER_WORKERS: expected a number of threads from 1 to 64, got "0"\.$/],
    ['HARNESS_CANDIDATE_SAMPLING', '1.5', /^HARNESS_CANDIDATE_SAMPLING: expected a share from 0 to 1, got "1.5"\.$/],
    ['LOG_LEVEL', 'loud', /^LOG_LEVEL: expected one of trace, .*, silent, got "loud"\.$/],
    ['DATABASE_URL', 'mysql://u:p@h/d', /^DATABASE_URL: expected postgres:\/\/\S+, got another form\.$/],
    ['HARNESS_KEYS', '', /^HARNESS_KEYS: expected id:secret.*, got nothing\.$/],
    ['HARNESS_KEYS', 'edge:short', /^HARNESS_KEYS: expected id:secret.* at least 16 characters\.$/],
  ])('%s=%s is refused in one line', (name, value, message) => {
    expect(() => parseConfig({ HARNESS_KEYS: KEYS, [name]: value })).toThrow(
      expect.objectContaining({ code: 'configuration', message: expect.stringMatching(message) }) as Error,
    );
  });

  test('never repeat a secret', () => {
    for (const [name, value] of [
      ['DATABASE_URL', 'mysql://user:hush@host/db'],
      ['HARNESS_KEYS', 'edge:hush'],
    ] as const) {
      try {
        parseConfig({ HARNESS_KEYS: KEYS, [name]: value });
        expect.unreachable();
      } catch (error) {
        expect((error as Error).message).not.toContain('hush');
      }
    }
  });

  test('are all in the help', () => {
    const help = settingsHelp();
    for (const name of [
      'PORT',
      'HOST',
      'HARNESS_DATA',
      'HARNESS_BUNDLE',
      'HARNESS_KEYS',
      'DATABASE_URL',
      'HARNESS_DEVICE',
      'HARNESS_ENCODER_WORKERS',
      'LOG_LEVEL',
    ])
      expect(help).toMatch(new RegExp(`^  ${name} +\\w`, 'm'));
    expect(settingsHelp(['HOST'])).not.toContain('PORT');
  });
});
