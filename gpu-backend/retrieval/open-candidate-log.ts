/** Opens the log of candidates where the settings ask for one, and counts what it logged and dropped. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { BackendConfig } from '../config.ts';
import type { Metrics } from '../http/metrics.ts';
import { openCandidateLog } from './candidate-log.ts';

/** The log of candidates, where a share of the answers is to be logged. */
export async function openSampling(options: { config: Readonly<BackendConfig>; log: Logger; metrics: Metrics }) {
  const { config, log, metrics } = options;
  if (config.candidateSampling === 0) return undefined;
  const dir = join(config.dataDir, 'candidates');
  const onError = (err: unknown) => log.error({ err }, 'candidates were not logged');
  const opened = await openCandidateLog({
    dir,
    share: config.candidateSampling,
    onError,
    now: Date.now,
    random: Math.random,
  });
  for (const [outcome, help] of [
    ['logged', 'Answers whose candidates were logged.'],
    ['dropped', 'Answers whose candidates should have been logged and were not: the disk was away or behind.'],
  ] as const)
    metrics.counter({ name: `harness_candidates_${outcome}_total`, help, read: () => opened.stats()[outcome] });
  return opened;
}
