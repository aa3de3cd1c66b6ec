/** Every metric of what the parts know of themselves has that number, and no other's. */
import { expect, it } from 'vitest';
import { createMetrics } from '../../../gpu-backend/http/metrics.ts';
import { type WatchedState, watchState } from '../../../gpu-backend/http/watch-state.ts';

/** Where each number of a part is told, and in which metric. */
const ENCODER = {
  ...{ queued: 'queue', running: 'running', cachedTexts: 'cached_texts', cachedBytes: 'cached_bytes' },
  ...{ encoded: 'encoded_total', hits: 'hits_total', joined: 'joined_total', batches: 'batches_total' },
  ...{ refused: 'refused_total', expired: 'expired_total', cancelled: 'cancelled_total' },
  ...{ fallbacks: 'fallbacks_total', restarts: 'restarts_total' },
};
const LIVE = { generation: 'generation', ads: 'ads', delta: 'ads_delta', swaps: 'generation_swaps_total' };
const RETRIEVAL = { student: 'queries_student_total', teacher: 'queries_teacher_total', gated: 'queries_gated_total' };
const CANARY = { recall: 'recall_canary', queries: 'recall_canary_queries_total' };
const REBUILDER = {
  ...{ added: 'rebuilds_added_total', gone: 'rebuilds_gone_total', damaged: 'rebuilds_damaged_total' },
  ...{ failures: 'rebuilds_failed_total', endedAtSeconds: 'rebuild_ended_seconds' },
};

it('is told under its own name', async () => {
  let last = 100;
  const expected = new Map<string, number>();
  /** Numbers that nothing else has, under the keys given. */
  const stats = (names: Record<string, string>, prefix = '') => {
    const numbers = Object.fromEntries(Object.keys(names).map((key) => [key, ++last]));
    for (const [key, name] of Object.entries(names)) expected.set(`harness_${prefix}${name}`, numbers[key]!);
    return () => numbers as never;
  };
  const metrics = createMetrics();
  watchState({
    metrics,
    encoder: { stats: stats(ENCODER, 'encoder_') } as Partial<WatchedState['encoder']> as WatchedState['encoder'],
    live: { stats: stats(LIVE), view: { createdAtMs: 5_000, vacant: 7 } } as unknown as WatchedState['live'],
    retrieval: { stats: stats(RETRIEVAL) },
    canary: { stats: stats(CANARY) },
    rebuilder: { stats: stats(REBUILDER) },
    config: { current: () => ({ version: 8, killList: ['a', 'b', 'c'] }) } as unknown as WatchedState['config'],
  });
  expected.set('harness_ads_vacant', 7).set('harness_config_version', 8).set('harness_kill_list', 3);
  const asked = [Date.now()];
  const { text } = await metrics.render();
  asked.push(Date.now());
  const told = new Map(
    Array.from(text.matchAll(/^(harness_\w+) (\S+)$/gm), ([, name, value]) => [name!, Number(value)]),
  );
  const age = told.get('harness_generation_age_seconds')!;
  expect(age).toBeGreaterThanOrEqual((asked[0]! - 5_000) / 1_000);
  expect(age).toBeLessThanOrEqual((asked[1]! - 5_000) / 1_000);
  expect(Object.fromEntries(told)).toMatchObject(Object.fromEntries(expected));
});
